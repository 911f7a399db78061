"""Models of Hugging Face's transformers on sinks and a window.

    cache = SinkCache(model, n_sink=4, window=1020)
    model.generate(**inputs, cache=cache, max_new_tokens=100_000)

SPDX-License-Identifier: MIT
"""

from ._attention import detach
from ._cache import SinkCache
from ._config import Unsupported, from_hf_config
from ._verify import verify

__all__ = ["SinkCache", "Unsupported", "detach", "from_hf_config", "verify"]
