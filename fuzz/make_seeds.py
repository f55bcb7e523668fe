"""Makes the seeds of `elf`, `layer` and `compressed`: small programs, small layers of images, and bodies.

Usage: python3 make_seeds.py (in this folder)
"""

import gzip
import io
import pathlib
import struct
import tarfile
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"

# Types of segments, and tags of the dynamic section: the System V ABI.
LOAD, DYNAMIC, INTERPRETER = 1, 2, 3
NEEDED, STRINGS, STRINGS_SIZE, RUN_PATH = 1, 5, 10, 29
X86_64, S390, AARCH64 = 62, 22, 183
ADDRESS = 0x1000


def program(machine, needed, interpreter, run_path=None, big_endian=False):
    order = ">" if big_endian else "<"
    strings, entries = b"\0", []
    names = [(NEEDED, name) for name in needed] + [(RUN_PATH, run_path)] * bool(run_path)
    for tag, name in names:
        entries.append((tag, len(strings)))
        strings += name + b"\0"
    interpreter += b"\0"
    interpreter_at = 64 + 3 * 56
    strings_at = interpreter_at + len(interpreter)
    dynamic_at = strings_at + len(strings)
    entries += [(STRINGS, ADDRESS + strings_at), (STRINGS_SIZE, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack(order + "QQ", *entry) for entry in entries)

    def segment(kind, at, size):
        return struct.pack(order + "IIQQQQQQ", kind, 4, at, ADDRESS + at, ADDRESS + at, size, size, 8)

    identity = b"\x7fELF" + bytes([2, 2 if big_endian else 1, 1]) + bytes(9)
    header = struct.pack(order + "HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    segments = (
        segment(LOAD, 0, dynamic_at + len(dynamic))
        + segment(INTERPRETER, interpreter_at, len(interpreter))
        + segment(DYNAMIC, dynamic_at, len(dynamic))
    )
    return identity + header + segments + interpreter + strings + dynamic


def archive(names, format):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as layer:
        for name in names:
            entry = tarfile.TarInfo(name)
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            layer.addfile(entry, io.BytesIO())
    # Two empty blocks at the end, and no more.
    bytes = file.getvalue().rstrip(b"\0")
    return bytes + b"\0" * (1024 - len(bytes) % -512)


def packed(bytes):
    return gzip.compress(bytes, mtime=0)


BODY = b'{"max_results": 1}'
# All that the head of a gzip file may have: extra data, a name, a comment.
FULL_HEAD = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x04\0abcdname\0comment\0"
LOADER = b"/lib64/ld-linux-x86-64.so.2"
plain = archive(["lib64/a.so", "usr/lib/x86_64-linux-gnu/b.so", "opt/lib/c.so", "usr/lib/d/"], tarfile.GNU_FORMAT)
SEEDS = {
    "elf/program": program(X86_64, [b"libc.so.6", b"libm.so.6"], LOADER),
    "elf/path": program(X86_64, [b"../../x"], LOADER),
    "elf/arm": program(AARCH64, [b"libc.so.6"], b"/lib/ld-linux-aarch64.so.1", b"$ORIGIN/../lib:/opt"),
    "elf/s390": program(S390, [b"libc.so.6"], b"/lib/ld64.so.1", big_endian=True),
    "elf/loader": program(X86_64, [b"a"], b"/lib/../../x"),
    "elf/text": b"#!/bin/sh\n",
    "layer/plain": plain,
    "layer/whiteouts": archive(
        ["usr/lib/.wh.b.so", "usr/.wh..wh..opq", f"usr/lib/{'x' * 120}.so"], tarfile.GNU_FORMAT
    ),
    "layer/extended": archive([f"usr/lib/{'é' * 70}.so"], tarfile.PAX_FORMAT),
    "layer/compressed": packed(plain),
    # The first byte chooses what the request says that it is.
    "compressed/gzip": b"\0" + packed(BODY),
    "compressed/two_members": b"\0" + packed(BODY[:9]) + packed(BODY[9:]),
    "compressed/cut": b"\0" + packed(BODY)[:-5],
    "compressed/bomb": b"\0" + packed(b" " * (17 << 20)),
    "compressed/plain": b"\0" + BODY,
    "compressed/deflate": b"\1" + zlib.compress(BODY),
    "compressed/twice": b"\3" + packed(packed(BODY)),
    "compressed/extra": b"\0"
    + FULL_HEAD
    + zlib.compress(BODY)[2:-4]
    + struct.pack("<II", zlib.crc32(BODY), len(BODY)),
    "layer/two": packed(plain[:512]) + packed(plain[512:]),
}

for name, content in SEEDS.items():
    (CORPUS / name).write_bytes(content)
