"""Owner of SciPy's special functions, loaded when generated code needs one."""

import scipy.special

special = scipy.special
