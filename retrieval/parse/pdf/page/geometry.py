"""Boxes and matrices of PDF pages. Coordinates are points; y grows upwards."""

Box = tuple[float, float, float, float]  # left, bottom, right, top
Matrix = tuple[float, float, float, float, float, float]  # a b c d e f of ISO 32000-1, 8.3.3
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def compose(first: Matrix, second: Matrix) -> Matrix:
    """The matrix that applies `first`, then `second`."""
    a, b, c, d, e, f = first
    k, m, n, o, p, q = second
    return a * k + b * n, a * m + b * o, c * k + d * n, c * m + d * o, e * k + f * n + p, e * m + f * o + q


def apply(matrix: Matrix, box: Box) -> Box:
    """Bounds of the transformed box."""
    a, b, c, d, e, f = matrix
    corners = [(a * x + c * y + e, b * x + d * y + f) for x in (box[0], box[2]) for y in (box[1], box[3])]
    return min(x for x, _ in corners), min(y for _, y in corners), max(x for x, _ in corners), max(y for _, y in corners)


def upright(rotation: int, box: Box) -> Matrix:
    """From the coordinates of a page to those of the page as it is shown. `rotation`: clockwise, in degrees; `box`: of the page."""
    left, bottom, right, top = box
    return {
        90: (0.0, -1.0, 1.0, 0.0, -bottom, right),
        180: (-1.0, 0.0, 0.0, -1.0, right, top),
        270: (0.0, 1.0, -1.0, 0.0, top, -left),
    }.get(rotation, IDENTITY)


def mirrored(box: Box) -> Matrix:
    """Exchanges left and right of a page of this box."""
    return -1.0, 0.0, 0.0, 1.0, box[0] + box[2], 0.0


def laid_down(box: Box) -> Matrix:
    """Turns a page of this box whose lines run downwards, the first at the right, into one whose lines run to the right, the first at the
    top. Letters are not turned; that does not matter to their boxes."""
    return 0.0, 1.0, -1.0, 0.0, box[3], 0.0
