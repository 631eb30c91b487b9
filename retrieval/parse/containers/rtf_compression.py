"""Compressed RTF of Outlook messages (MS-OXRTFCP)."""

import struct

_COMPRESSED, _STORED = b"LZFu", b"MELA"
_DICTIONARY = 4096  # bytes
# what the dictionary holds at the beginning
_START = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArial"
    b"Times New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def decompressed(data: bytes) -> bytes:
    """Of a damaged stream what precedes the damage. Raises ValueError if it is no such stream."""
    if len(data) < 16 or data[8:12] not in (_COMPRESSED, _STORED):
        raise ValueError("no compressed RTF")
    size, kind, content = struct.unpack("<I", data[4:8])[0], data[8:12], data[16:]
    return content[:size] if kind == _STORED else _expanded(content, size)


def _expanded(data: bytes, size: int) -> bytes:
    """Each control byte announces eight items, from its lowest bit: 0 a byte, 1 a reference of 12 bits of offset and 4 of length."""
    window, at, output, position = bytearray(_START.ljust(_DICTIONARY, b"\0")), len(_START), bytearray(), 0

    def put(byte: int) -> None:
        nonlocal at
        output.append(byte)
        window[at] = byte
        at = (at + 1) % _DICTIONARY

    while position < len(data) and len(output) < size:
        control = data[position]
        position += 1
        for bit in range(8):
            item = data[position : position + (2 if control >> bit & 1 else 1)]
            position += len(item)
            if len(item) < 2:
                for byte in item:
                    put(byte)
                continue
            offset, length = struct.unpack(">H", item)[0] >> 4, (item[1] & 15) + 2
            if offset == at:  # the end
                return bytes(output)
            for step in range(length):
                put(window[(offset + step) % _DICTIONARY])
    return bytes(output[:size])
