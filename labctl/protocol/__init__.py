"""The protocol's arithmetic: pure functions on arrays, each citing the equation it states.

Shot-noise units throughout (vacuum variance 1, X = a + a†). Source: Sulimany et al., PRX 15, 041056
(arXiv:2408.05629); the conventions and derivations are in docs/physics.md.
"""
