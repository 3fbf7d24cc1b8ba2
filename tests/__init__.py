"""Regular packages of the name `tests`, which some programs install, are not ours."""
