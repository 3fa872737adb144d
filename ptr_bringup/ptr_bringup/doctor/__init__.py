# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor`: what is installed, what is missing, what it is for and how to get it."""
