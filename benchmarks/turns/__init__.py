"""Does it pay to give each turn its own reward? A small agent, with turn marks that are right more or less often."""
