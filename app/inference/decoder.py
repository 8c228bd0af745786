"""Photos decoded for the service: small ones by the thread that asks, large or suspicious ones in a helper process."""

from contextlib import nullcontext

from PIL import Image

from foodscene.app.inference.helpers import Helpers
from foodscene.models import pixels
from foodscene.models.budget import Budget
from foodscene.models.pixels import LIMITS, DecodingLimits, Header, InputSpec, Reading


class Decoder:
    """Decodes photos within `limits`: in at most `helpers` processes where they are heavy.

    Each may take `seconds` of one core there. The photos in helpers hold `memory` bytes together, at most; so do, by
    `models.pixels.DECODING`, those decoded here.
    """

    def __init__(
        self, limits: DecodingLimits = LIMITS, *, helpers: int = 2, seconds: float = 6, memory: int = 500_000_000
    ) -> None:
        self.limits = limits
        pixels.DECODING.whole = memory
        self._memory = Budget(memory)
        self._helpers = Helpers(helpers, seconds, memory + memory // 4)  # its estimates are no promises

    @property
    def helpers(self) -> int:
        """Processes at most."""
        return self._helpers.most

    def inspect(self, photo: bytes) -> Header:
        """A photo's header. Raises a `PhotoError` where it is damaged or the photo costs too much."""
        header = pixels.inspect(photo)
        self.limits.check(header)
        return header

    def read(self, photo: bytes, header: Header, spec: InputSpec) -> Reading:
        """As `models.pixels.read_noting`."""
        if not header.heavy:
            return pixels.read_noting(photo, spec, limits=self.limits)
        with self._memory.hold(header.bytes) if header.bytes else nullcontext():
            return self._helpers.decode(photo, spec=spec, limits=self.limits)

    def shrink(self, photo: bytes, longest: int) -> Image.Image:
        """As `models.pixels.shrink`."""
        header = self.inspect(photo)
        if not header.heavy:
            return pixels.shrink(photo, longest, limits=self.limits)
        with self._memory.hold(header.bytes) if header.bytes else nullcontext():
            found = self._helpers.decode(photo, longest=longest, limits=self.limits).pixels
        return Image.fromarray(found if found.shape[2] == 3 else found[:, :, 0])

    def close(self) -> None:
        """End the helpers."""
        self._helpers.close()
