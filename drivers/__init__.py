"""One file per real instrument, all of them over pyvisa."""
