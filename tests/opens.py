"""The shipped bundles open in whichever Keras is imported, and answer as the service does: `python -m tests.opens`."""

import keras
import numpy as np

from foodscene.models.bundle import SHIPPED, Bundle, find
from foodscene.models.engine import open_engine


def main() -> None:
    for name, bundle in find(SHIPPED).items():
        assert isinstance(bundle, Bundle), str(bundle)
        photos = np.random.default_rng(0).integers(0, 256, (8, *bundle.spec.shape), dtype=np.uint8)
        model = keras.models.load_model(bundle.model, compile=False)
        found = np.asarray(model.predict(photos.astype(np.float32), verbose=0))
        np.testing.assert_allclose(found, open_engine(bundle).predict(photos), atol=1e-4)
        print(f"{name} answers in Keras {keras.__version__} as in the service.")


if __name__ == "__main__":
    main()
