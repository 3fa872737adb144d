# SPDX-License-Identifier: Apache-2.0
"""`python -m ptr_models` is `ptr`, for torchrun."""

import sys

from ptr_models.cli import main

if __name__ == "__main__":
    sys.exit(main())
