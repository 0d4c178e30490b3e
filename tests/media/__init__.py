# SPDX-License-Identifier: GPL-3.0-or-later
"""ISOs that boot, made by code of this project: what the virtual machines of the tests install themselves from."""
