"""A script without a main guard, registered by mistake."""

import sys

sys.exit("usage: stranger_exits FILE")
