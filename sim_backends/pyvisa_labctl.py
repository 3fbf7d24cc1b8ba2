"""What pyvisa looks for when it is asked for the library ``@labctl``.

Installed as the top-level module ``pyvisa_labctl``; see "Writing a backend" in pyvisa's manual.
"""

from sim_backends.visa_library import LabctlVisaLibrary

WRAPPER_CLASS = LabctlVisaLibrary
