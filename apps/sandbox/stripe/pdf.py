"""One page of plain text as a PDF, for files that people can open: nothing but the format's own first chapter."""

LATIN = "cp1252"  # what a PDF's own fonts have, the euro sign included


def write(lines: list[str]) -> bytes:
    """These lines on one page, in the font that every reader has."""
    shown = b" ".join(b"(" + _escape(line) + b") Tj T*" for line in lines)
    stream = b"BT /F1 11 Tf 16 TL 56 780 Td " + shown + b" ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    made, places = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(made))
    return made + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def _escape(line: str) -> bytes:
    known = line.encode(LATIN, "replace")
    return known.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
