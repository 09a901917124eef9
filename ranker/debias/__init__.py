"""Rewards with a judge's known biases removed: counterfactual copies, covariates, and the model that weighs them."""
