"""The two parties, who do not trust each other, and the classical channel between them."""
