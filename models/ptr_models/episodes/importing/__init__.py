# SPDX-License-Identifier: Apache-2.0
"""Import demonstrations of other projects as bags."""
