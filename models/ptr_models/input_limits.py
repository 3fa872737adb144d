# SPDX-License-Identifier: Apache-2.0
"""How much a file or a message from outside may ask for. What it declares is read first, and refused above these."""

MAX_CHUNK_BYTES = 64 * 2**20
"""Uncompressed size of one MCAP chunk; the recorder's have about 1 MiB."""
MAX_IMAGE_PIXELS = 2**25
"""Pixels of one encoded image (33.5 million); a 4K frame has 8.3 million."""
MAX_JSON_BYTES = 64 * 2**20
MAX_EXTRA_BYTES = 2**20
"""Size of the JSON metadata that the starter of an episode may add."""
MAX_YAML_BYTES = 2**20
MAX_JSON_DEPTH = 64
MAX_JSON_DIGITS = 100
"""Digits of one integer; the state of a random generator has 39."""
MIN_CONTROL_RATE, MAX_CONTROL_RATE = 0.01, 1000.0
"""Hz."""
MAX_CONTROL_STEPS = 10**6
"""Steps of one episode: 55 hours at 5 Hz."""
MAX_TASK_SLOTS = 10**5
MAX_IMAGE_SIDE = 4096
"""Pixels of one side of the image that the networks see."""
MAX_ARRAY_BYTES = 2**32
"""Bytes of one array in an archive of weights."""
MAX_TEXT = 10_000
"""Characters of a free text, such as an instruction or a note."""
MAX_RECORD_BYTES = 2**29
"""Bytes of one record of a TFRecord file; those of Bridge have about 1 MB."""
MAX_TABLE_ROWS = 10**8
"""Rows of one Parquet file."""
MAX_COLUMN_BYTES = 2**29
"""Uncompressed bytes of one column of one row group of a Parquet file; LeRobot's files have 100 MB in all."""
MAX_PICKLE_BYTES = 2**26
"""Bytes of one pickle of a recording's numbers; those of raw Bridge data have about 0.1 MB."""
MAX_PICKLE_OPCODES = 2**23
"""Steps of one pickle; each makes at most one small object."""
MAX_NUMPY_BYTES = 2**34
"""Bytes of one .npy file of episodes with their images."""
