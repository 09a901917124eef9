"""A judge under watch: how often it still agrees with an auditor on the attempts of the policy as it is."""
