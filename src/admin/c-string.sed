# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a text a string literal of C, a line of it a line.
s/[\"]/\\&/g
s/.*/"&\\n"/
