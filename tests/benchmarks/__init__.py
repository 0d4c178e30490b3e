# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection costs, beside other clouds' modules in the same run. `make bench` runs it."""
