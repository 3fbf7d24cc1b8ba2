"""One file per real instrument, all of them over pyvisa."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # nothing on standard error unless a program asks for it
