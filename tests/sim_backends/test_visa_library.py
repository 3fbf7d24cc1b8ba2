"""pyvisa programs on the simulated laboratory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import pyvisa
from pyvisa import constants
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.errors import InvalidSession, VisaIOError
from pyvisa.resources import MessageBasedResource

from sim_backends import visa_library
from sim_backends.faults import fault_named
from sim_backends.visa_library import LabctlVisaLibrary
from tests.sim_backends.rig import SmallLab

SOCKET = "TCPIP0::10.0.0.1::5025::SOCKET"
INSTR = "TCPIP0::10.0.0.1::hislip0::INSTR"
SERIAL = "ASRL3::INSTR"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> SmallLab:
    small = SmallLab()
    monkeypatch.setattr(visa_library, "open_lab", lambda path: small)
    return small


@pytest.fixture
def manager(lab: SmallLab) -> Iterator[pyvisa.ResourceManager]:
    opened = pyvisa.ResourceManager(LabctlVisaLibrary("small"))
    yield opened
    opened.close()


def opened(manager: pyvisa.ResourceManager, name: str = SOCKET, **settings: object) -> MessageBasedResource:
    resource = manager.open_resource(name, **{"read_termination": "\n", "write_termination": "\n", **settings})
    assert isinstance(resource, MessageBasedResource)
    return resource


def status_of(call: object, *arguments: object) -> StatusCode:
    assert callable(call)
    with pytest.raises(VisaIOError) as caught:
        call(*arguments)
    return StatusCode(caught.value.error_code)


@pytest.mark.parametrize(
    "name",
    [
        SOCKET,
        INSTR,
        SERIAL,
        "USB0::0x1313::0x8078::P1::INSTR",
        "GPIB0::7::INSTR",
        "TCPIP::10.0.0.1::5025::SOCKET",
        "tcpip0::10.0.0.1::hislip0::instr",
    ],
)
def test_a_query_on_every_kind_of_line(manager: pyvisa.ResourceManager, name: str) -> None:
    assert opened(manager, name).query("*IDN?") == "MAKER,DEMO,1,1.0"


def test_the_default_write_termination_will_do(manager: pyvisa.ResourceManager) -> None:
    resource = manager.open_resource(SOCKET, read_termination="\n")
    assert isinstance(resource, MessageBasedResource)
    assert resource.query("*OPC?") == "1"


def test_on_message_lines_no_termination_is_needed(manager: pyvisa.ResourceManager) -> None:
    resource = manager.open_resource(INSTR, write_termination="")
    assert isinstance(resource, MessageBasedResource)
    assert resource.query("*OPC?") == "1\n"
    assert resource.last_status == StatusCode.success


def test_the_control_resource_opens_by_its_short_name(manager: pyvisa.ResourceManager) -> None:
    assert opened(manager, "SIM").query("*IDN?") == "MAKER,DEMO,1,1.0"
    assert opened(manager, "sim").resource_class == "INSTR"


def test_resources_are_listed_by_pattern(manager: pyvisa.ResourceManager) -> None:
    assert SOCKET in manager.list_resources("?*::SOCKET")
    assert set(manager.list_resources()) == {name for name in SmallLab().names if name.endswith("::INSTR")}
    assert "SIM" in manager.list_resources("?*")


def test_an_unknown_resource_is_not_found(manager: pyvisa.ResourceManager) -> None:
    assert status_of(manager.open_resource, "GPIB0::9::INSTR") == StatusCode.error_resource_not_found
    assert status_of(manager.open_bare_resource, "NONSENSE") == StatusCode.error_invalid_resource_name


def test_blocks_as_pyvisa_reads_and_writes_them(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    data = np.arange(-5000, 5000, dtype=np.int16)  # many bytes 0x0A among them
    for name in (SOCKET, INSTR):
        resource = opened(manager, name, read_termination=None, write_termination="\n")
        resource.write_binary_values(":TRAC:DATA 1,0,", data, datatype="h", termination="")
        assert lab.demo.payload == data.tobytes()
        resource.write(":TRAC:DATA?")
        head = resource.read_bytes(10)
        assert head == b"#800020000"
        back = np.frombuffer(resource.read_bytes(len(data) * 2 + 1), dtype=np.int16, count=len(data))
        assert np.array_equal(back, data)
    message = opened(manager, INSTR, read_termination=None)
    values = message.query_binary_values(":TRAC:DATA?", datatype="h", container=np.array, chunk_size=1000)
    assert np.array_equal(values, data)


def test_a_block_in_four_writes(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    resource = opened(manager)
    for piece in (b":TRAC1:DATA 1,0,", b"#14", b"\n\n\n\n", b"\n"):
        resource.write_raw(piece)
    assert lab.demo.payload == b"\n\n\n\n"
    assert resource.query(":SYST:ERR?") == '0,"No error"'


def test_the_termination_character_cuts_a_socket_and_end_a_message(manager: pyvisa.ResourceManager) -> None:
    socket, message = opened(manager), opened(manager, INSTR)
    for resource, ending in (
        (socket, StatusCode.success_termination_character_read),
        (message, StatusCode.success),
    ):
        resource.write("*OPC?")
        assert resource.visalib.read(resource.session, 1000) == (b"1\n", ending)


def test_a_count_reached_says_so(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, INSTR)
    resource.write("*IDN?")
    with resource.ignore_warning(StatusCode.success_max_count_read):
        assert resource.visalib.read(resource.session, 5) == (b"MAKER", StatusCode.success_max_count_read)
    assert resource.read() == ",DEMO,1,1.0"


def test_a_socket_without_end_waits_for_all_that_was_asked(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, read_termination=None)
    resource.write("*OPC?")
    assert status_of(resource.read_bytes, 10) == StatusCode.error_timeout
    resource.set_visa_attribute(ResourceAttribute.suppress_end_enabled, constants.VI_FALSE)
    resource.write("*OPC?")
    assert resource.visalib.read(resource.session, 10) == (b"1\n", StatusCode.success)


def test_a_serial_line_ends_reads_by_its_own_setting(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, SERIAL, baud_rate=19200, read_termination=None)
    assert resource.query("*OPC?") == "1\n"
    assert resource.last_status == StatusCode.success
    assert getattr(resource, "baud_rate", 0) == 19200
    resource.write("*OPC?")
    assert getattr(resource, "bytes_in_buffer", 0) == 2
    resource.set_visa_attribute(ResourceAttribute.asrl_end_in, constants.SerialTermination.none)
    assert status_of(resource.read_raw) == StatusCode.error_timeout


def test_serial_writes_may_be_terminated_by_the_line(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, SERIAL, write_termination="")
    resource.set_visa_attribute(ResourceAttribute.asrl_end_out, constants.SerialTermination.termination_char)
    assert resource.query("*OPC?") == "1"


def test_nothing_to_read_times_out_at_once_on_a_stepped_clock(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, timeout=3_600_000)
    assert status_of(resource.read) == StatusCode.error_timeout
    assert resource.last_status == StatusCode.error_timeout


def test_reading_unasked_is_a_query_error_on_message_lines(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, INSTR)
    assert status_of(resource.read) == StatusCode.error_timeout
    assert resource.query(":SYST:ERR?").startswith("-420,")


def test_on_a_real_clock_a_read_waits_for_the_answer(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    lab.stepped = False
    resource = opened(manager, timeout=None)
    waiting = threading.Event()
    answers: list[str] = []

    def read() -> None:
        resource.write(":RUN;*OPC?")
        waiting.set()
        answers.append(resource.read())

    thread = threading.Thread(target=read)
    thread.start()
    waiting.wait()
    assert opened(manager, INSTR).query("*IDN?") == "MAKER,DEMO,1,1.0"  # the lock is free meanwhile
    lab.demo.finish()
    thread.join()
    assert answers == ["1"]


def test_on_a_real_clock_nothing_to_read_times_out_after_a_while(
    manager: pyvisa.ResourceManager, lab: SmallLab
) -> None:
    lab.stepped = False
    assert status_of(opened(manager, timeout=1).read) == StatusCode.error_timeout


@pytest.mark.parametrize("how", ["close", "unplug", "manager"])
def test_a_waiting_read_is_woken(manager: pyvisa.ResourceManager, lab: SmallLab, how: str) -> None:
    lab.stepped = False
    resource = opened(manager, timeout=None)
    library, session = resource.visalib, resource.session
    waiting = threading.Event()
    failures: list[int] = []

    def read() -> None:
        waiting.set()
        try:
            library.read(session, 10)
        except VisaIOError as error:
            failures.append(error.error_code)

    thread = threading.Thread(target=read)
    thread.start()
    waiting.wait()
    if how == "close":
        resource.close()
    elif how == "manager":
        manager.close()
    else:
        lab.demo.set_fault(fault_named("UNPLUG"))
    thread.join()
    lost = StatusCode.error_connection_lost if how == "unplug" else StatusCode.error_invalid_object
    assert failures == [lost]


def test_an_unplugged_unit_loses_its_line_and_is_not_found(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    resource = opened(manager)
    lab.demo.set_fault(fault_named("UNPLUG"))
    for call in (lambda: resource.write("*OPC?"), resource.read, resource.clear):
        assert status_of(call) == StatusCode.error_connection_lost
    assert status_of(manager.open_resource, SOCKET) == StatusCode.error_resource_not_found
    lab.demo.set_fault(None)
    assert status_of(lambda: resource.write("*OPC?")) == StatusCode.error_connection_lost
    assert opened(manager).query("*OPC?") == "1"


def test_a_silent_unit_times_out(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    resource = opened(manager, INSTR)
    lab.demo.set_fault(fault_named("SILENT"))
    assert status_of(resource.query, "*OPC?") == StatusCode.error_timeout
    assert status_of(resource.clear) == StatusCode.error_timeout
    assert status_of(resource.read_stb) == StatusCode.error_timeout


def test_serial_poll_and_clear(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, INSTR)
    resource.write("*IDN?")
    assert resource.read_stb() == 16
    resource.clear()
    assert resource.read_stb() == 0
    assert status_of(opened(manager).read_stb) == StatusCode.error_nonsupported_operation


def test_clear_and_flush_throw_away_what_was_not_read(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager)
    for discard in (resource.clear, lambda: resource.flush(constants.BufferOperation.discard_receive_buffer)):
        resource.write("*IDN?")
        discard()
        assert resource.query("*OPC?") == "1"


def test_trigger_on_message_lines(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, INSTR)
    resource.assert_trigger()
    assert resource.query(":SYST:ERR?").startswith("-113")  # the demonstration unit has no *TRG
    assert status_of(opened(manager).assert_trigger) == StatusCode.error_nonsupported_operation


def test_attributes(manager: pyvisa.ResourceManager) -> None:
    resource = opened(manager, SOCKET, timeout=1234)
    assert resource.timeout == 1234
    resource.timeout = None
    assert resource.timeout == float("inf")
    assert resource.resource_name == SOCKET
    assert resource.interface_type == constants.InterfaceType.tcpip
    assert resource.get_visa_attribute(ResourceAttribute.tcpip_port) == 5025
    assert resource.get_visa_attribute(ResourceAttribute.tcpip_address) == "10.0.0.1"
    assert resource.resource_manufacturer_name == "labctl"
    baud = ResourceAttribute(constants.VI_ATTR_ASRL_BAUD)
    assert status_of(resource.get_visa_attribute, baud) == StatusCode.error_nonsupported_attribute
    assert status_of(resource.set_visa_attribute, baud, 1) == StatusCode.error_nonsupported_attribute
    name = ResourceAttribute.resource_name
    assert status_of(resource.set_visa_attribute, name, "x") == StatusCode.error_attribute_read_only


def test_an_exclusive_lock_keeps_others_out(manager: pyvisa.ResourceManager) -> None:
    one, two = opened(manager), opened(manager, INSTR)
    one.lock_excl()
    assert one.query("*OPC?") == "1"
    assert status_of(lambda: two.write("*OPC?")) == StatusCode.error_resource_locked
    assert status_of(two.lock_excl) == StatusCode.error_resource_locked
    exclusive = constants.AccessModes.exclusive_lock
    assert status_of(manager.open_resource, SOCKET, exclusive) == StatusCode.error_resource_locked
    one.unlock()
    assert two.query("*OPC?") == "1"
    two.lock_excl()
    two.close()
    assert one.query("*OPC?") == "1"
    with one.lock_context(requested_key=None) as key:
        assert key


def test_closing_the_manager_closes_everything_and_the_lab(manager: pyvisa.ResourceManager, lab: SmallLab) -> None:
    resource, library = opened(manager), manager.visalib
    session = resource.session
    manager.close()
    assert lab.closed == 1
    assert lab.demo.connections == []
    with pytest.raises(InvalidSession):
        resource.query("*IDN?")
    assert status_of(library.write, session, b"*IDN?\n") == StatusCode.error_invalid_object
    assert status_of(library.close, session) == StatusCode.error_invalid_object
    assert library.list_resources(session, "?*") == ()
    again = pyvisa.ResourceManager(library)
    assert opened(again).query("*OPC?") == "1"
    again.close()
    assert lab.closed == 2


def test_a_laboratory_outlives_the_last_reference_to_its_library(lab: SmallLab) -> None:
    pyvisa.ResourceManager(LabctlVisaLibrary("forgotten"))
    gc.collect()
    assert lab.closed == 0
    manager = pyvisa.ResourceManager(LabctlVisaLibrary("forgotten"))
    opened(manager).write(":LAB 'still here'")
    assert lab.demo.label == "still here"
    manager.close()
    assert lab.closed == 1


def test_threads_with_their_own_sessions_do_not_mix_answers(manager: pyvisa.ResourceManager) -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        resource = opened(manager, timeout=None)
        for _ in range(300):
            answer = resource.query(f"*ESE {number};*ESE?")
            if answer not in ("1", "2", "3", "4") or resource.query(":TRAC2:DATA?") != "#800000000":
                wrong.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_manager_says_whose_library_it_is(manager: pyvisa.ResourceManager) -> None:
    """Vendors' clients look at it before they open anything."""
    name = constants.ResourceAttribute.resource_manufacturer_name
    assert manager.visalib.get_attribute(manager.session, name)[0] == "labctl"
    with pytest.raises(VisaIOError, match="VI_ERROR_NSUP_ATTR"):
        manager.visalib.get_attribute(manager.session, constants.ResourceAttribute.timeout_value)
