"""Training configs that come with the package: `ranker train NAME`."""
