"""Parsers under random and mutated input: every case must end in a value or a typed error, and leave nothing behind.

    python benchmarks/fuzz.py [--cases 1000000] [--seed 1] [--bench ideal]

Half of the cases go to what drivers read replies with (numbers, switches, error entries, blocks), half to all simulated
instruments, those of a bench and the others, on streams and on message lines, cut into pieces anywhere. A case is a
reply or command of the field with some bytes exchanged, left out, doubled or put in, or plain noise. Counted are
values, typed errors, and anything else, which is a failure. No case may take longer than ten seconds of the processor
(an oscilloscope may be asked for all its memory), and memory must not grow with them. Prints one JSON object; exit
status 1 when a case failed.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import sim_backends
from drivers import scpi
from labctl.shipped import bench_path
from sim_backends.lab import Lab
from sim_backends.unit import Connection, open_unit

#: What drivers may be answered, well formed.
REPLIES = (
    b"+1.55012000E-006",
    b"9.91E+37",
    b"-0.25",
    b"1",
    b"ON",
    b'-222,"Data out of range"',
    b'+0,"No error"',
    b"#18abcdefgh\n",
    b"#9000000004abcd\n",
    b'"a ""quoted"" word"',
    b"MIN,MAX,1,2.5",
    b"NAN",
)
#: What clients send to instruments of all makers.
COMMANDS = (
    b"*IDN?",
    b"*ESR?;*STB?;:SYSTem:ERRor?",
    b":WAVelength 1.55E-06",
    b":WAVelength? MIN",
    b":POWer:STATe 1;:POWer?",
    b":INPut1:ATTenuation 12.5 DB",
    b":OUTPut3:STATe?",
    b":TRACe1:DATA 1,0,#216\x01\x00\x02\x00\x0a\x00\x0a\x0a\x00\x00\x00\x00\x00\x00\x00\x00",
    b":TRACe1:DEFine 1,480,0;:TRACe1:CATalog?",
    b":WAVeform:PREamble?;DATA?",
    b":TIMebase:RANGe 1E-3;:CHANnel1:RANGe 4",
    b"SENSe:CORRection:WAVelength 1550.12NM",
    b"MEASure:POWer?",
    b":DRIV:ACC:CUR:CH1 50",
    b":SENS:CUR:CH1?",
    b"1,1,1;FREQ? 1,1,1;",
    b"MMEMory:DATA \"name; with 'quotes'\",#14abcd",
)
PARSERS: tuple[Callable[[bytes], object], ...] = (
    lambda reply: scpi.parse_real(reply.decode("latin-1")),
    lambda reply: scpi.parse_finite(reply.decode("latin-1")),
    lambda reply: scpi.parse_integer(reply.decode("latin-1")),
    lambda reply: scpi.parse_switch(reply.decode("latin-1")),
    lambda reply: scpi.parse_word(reply.decode("latin-1")),
    lambda reply: scpi.parse_error_entry(reply.decode("latin-1")),
    scpi.parse_block,
    scpi.block_length,
)
SLOW_S = 10.0
#: How much the process may grow over all cases, bytes; oscilloscopes keep their last records.
GROWTH = 256 << 20
LONGEST = 400


def mutated(rng: np.random.Generator, seeds: tuple[bytes, ...]) -> bytes:
    """One of ``seeds`` with a few accidents, or noise."""
    if rng.random() < 0.05:
        return rng.bytes(int(rng.integers(0, 60)))
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(0, len(data) + 1))
        match int(rng.integers(0, 5)):
            case 0 if data:
                data[at % len(data)] = int(rng.integers(0, 256))
            case 1:
                del data[at : at + int(rng.integers(1, 5))]
            case 2:
                data[at:at] = data[: int(rng.integers(0, 20))]
            case 3:
                data[at:at] = rng.bytes(int(rng.integers(1, 5)))
            case _:
                data[at:at] = b"#0;\"':,*? \r\n9E"[at % 13 :][:2]
    return bytes(data[:LONGEST])


def one_reply(rng: np.random.Generator) -> str:
    """A reply to a parser."""
    reply, parser = mutated(rng, REPLIES), PARSERS[rng.integers(len(PARSERS))]
    try:
        parser(reply)
    except ValueError:
        return "refused"
    return "value"


def pieces(rng: np.random.Generator, data: bytes) -> Iterator[bytes]:
    """The same bytes, cut anywhere."""
    while data:
        size = int(rng.integers(1, len(data) + 1)) if rng.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


def one_message(rng: np.random.Generator, connections: list[Connection]) -> str:
    """A message to an instrument: it obeys, or puts an error into its queue; it never raises."""
    connection = connections[rng.integers(len(connections))]
    data = mutated(rng, COMMANDS) + (b"\n", b"\r\n", b"\r", b";", b"")[rng.integers(5)]
    for piece in pieces(rng, data):
        connection.receive(piece, not connection.stream)
    if rng.random() < 0.2:  # some clients never read, some hang up in the middle
        connection.clear()
    answered = connection.answered
    connection.drop_replies()
    return "answered" if answered else "obeyed or queued"


def models() -> list[str]:
    """Every simulated instrument there is."""
    files = sorted(Path(sim_backends.__path__[0]).glob("*.py"))
    return [file.stem for file in files if f'MODEL = "{file.stem}"' in file.read_text(encoding="utf-8")]


def connected(bench: str) -> tuple[Lab, list[Connection]]:
    """Two lines to every instrument of a bench, and to one of every other model beside it; one of each sort."""
    lab = Lab(bench_path(bench))
    lab.set_stepped(True)
    there = {unit.MODEL for unit in lab.units.values()}
    others = [open_unit(model, model, lab.world, {}, lab.lock) for model in models() if model not in there]
    units = (*lab.units.values(), *others, lab.control)
    found = [unit.connect(stream) for unit in units for stream in (True, False)]
    return lab, [connection for connection in found if connection is not None]


def resident() -> int:
    """Bytes that the process holds now, garbage apart: a record that was made and given up does not count."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def fuzz(cases: int, seed: int, bench: str) -> dict[str, Any]:
    """Takes all cases and counts how they ended."""
    rng = np.random.default_rng(seed)
    lab, connections = connected(bench)
    ended: Counter[str] = Counter()
    failures: list[str] = []
    slowest_s, warm = 0.0, 0
    for case in range(cases):
        begun = time.process_time()
        try:
            ended[one_reply(rng) if case % 2 else one_message(rng, connections)] += 1
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            failures.append(f"case {case}: {type(error).__name__}: {error}")
        slowest_s = max(slowest_s, time.process_time() - begun)
        if case == cases // 10:
            warm = resident()
        if case % 1000 == 0:
            lab.advance(1.0)
    growth = resident() - warm
    return {
        "cases": cases,
        "seed": seed,
        "bench": bench,
        "ended": dict(ended),
        "failures": failures[:20],
        "failure_count": len(failures),
        "slowest_s": slowest_s,
        "growth_bytes": growth,
        "passed": not failures and slowest_s < SLOW_S and growth < GROWTH,
    }


def main() -> int:
    """Exit status 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bench", default="ideal")
    arguments = parser.parse_args()
    found = fuzz(arguments.cases, arguments.seed, arguments.bench)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
