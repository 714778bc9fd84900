"""The hot loops of layers for tables, compiled by numba: the same functions as in `numpy_tables`.

In float32 exponentials, sines and cosines are polynomials, which run in vector registers; float64
is left to NumPy.
"""

from functools import wraps

import numpy as np

from skbp._kernels import numpy_tables
from skbp._kernels.compiler import compiled
from skbp._kernels.numpy_tables import SELU_ALPHA, SELU_SCALE, TURN

F32, I32 = np.float32, np.int32
SCALE, SLOPE_AT_ZERO = F32(SELU_SCALE), F32(SELU_SCALE * SELU_ALPHA)
ZERO, ONE, TWO, FOUR = F32(0), F32(1), F32(2), F32(4)
LOG2_E, HALF, QUARTER = F32(1.4426950408889634), F32(0.5), F32(0.25)
#: log(2) in two parts, of which the first has few digits.
LN2_HIGH, LN2_LOW = F32(0.693359375), F32(-2.12194440e-4)
#: exp(r) = 1 + r + r**2 P(r) for abs(r) <= log(2) / 2, by its Taylor series.
E2, E3, E4, E5, E6, E7 = (F32(1 / n) for n in (2, 6, 24, 120, 720, 5040))
#: sin(2 pi u) = u S(u**2) for abs(u) <= 1/4, by its Taylor series.
S0, S1, S2, S3, S4, S5 = (
    F32((-1) ** k * TURN ** (2 * k + 1) / n)
    for k, n in enumerate((1, 6, 120, 5040, 362880, 39916800))
)
TURN32 = F32(TURN)


@compiled
def exp(x):
    """exp(x) for x <= 80, to about 1e-7 of it; 0 below -87."""
    x = max(x, F32(-87))
    n = np.floor(x * LOG2_E + HALF)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = E7 * r + E6
    p = p * r + E5
    p = p * r + E4
    p = p * r + E3
    p = p * r + E2
    p = p * r * r + r + ONE
    return p * I32((I32(n) + I32(127)) << I32(23)).view(F32)


@compiled
def _sine_of_turns(u):
    """sin(2 pi u) for abs(u) <= 1/4."""
    square = u * u
    p = S5 * square + S4
    p = p * square + S3
    p = p * square + S2
    p = p * square + S1
    return (p * square + S0) * u


@compiled
def _scale_backward(dy, x, scale, dscale):
    dscale[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            d = dy[i, j]
            dscale[j] += d * x[i, j]
            dy[i, j] = d * scale[j]


@compiled
def _learned_selu(x, share, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            below = SLOPE_AT_ZERO * (exp(min(v, ZERO)) - ONE)
            f = SCALE * v if v > ZERO else below
            y[i, j] = v + share[j] * (f - v)


@compiled
def _learned_selu_backward(dy, x, share, dshare):
    dshare[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v, d = x[i, j], dy[i, j]
            slope = SLOPE_AT_ZERO * exp(min(v, ZERO))
            f = SCALE * v if v > ZERO else slope - SLOPE_AT_ZERO
            slope = SCALE if v > ZERO else slope
            dshare[j] += d * (f - v)
            dy[i, j] = d * (ONE + share[j] * (slope - ONE))


@compiled
def _learned_mish(x, share, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            e = exp(min(v, F32(20)))
            part = e * (e + TWO)
            y[i, j] = v + share[j] * (v * (part / (part + TWO)) - v)


@compiled
def _learned_mish_backward(dy, x, share, dshare):
    dshare[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v, d = x[i, j], dy[i, j]
            e = exp(min(v, F32(20)))
            part = e * (e + TWO)
            inverse = ONE / (part + TWO)
            tangent = part * inverse
            slope = tangent + v * (FOUR * e * (e + ONE)) * (inverse * inverse)
            dshare[j] += d * (v * tangent - v)
            dy[i, j] = d * (ONE + share[j] * (slope - ONE))


@compiled
def _waves(x, frequency, phase, weight, out):
    n, units = x.shape[1], weight.shape[2]
    wave = np.empty(n, x.dtype)
    for number in range(x.shape[0]):
        out[number] = 0
        for f in range(frequency.shape[1]):
            w, b = frequency[number, f], phase[number, f] / TURN32
            for i in range(n):
                turns = x[number, i] * w + b
                turns -= np.floor(turns + HALF)
                wave[i] = _sine_of_turns(QUARTER - abs(turns))
            for unit in range(units):
                v = weight[number, f, unit]
                for i in range(n):
                    out[number, unit, i] += v * wave[i]


@compiled
def _waves_backward(dout, x, frequency, phase, weight, dfrequency, dphase, dweight, dx):
    n, units = x.shape[1], weight.shape[2]
    wave, sine, dangle = np.empty(n, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    wanted = dx.shape[0] > 0
    for number in range(x.shape[0]):
        if wanted:
            dx[number] = 0
        for f in range(frequency.shape[1]):
            w, b = frequency[number, f], phase[number, f] / TURN32
            for i in range(n):
                turns = x[number, i] * w + b
                turns -= np.floor(turns + HALF)
                wave[i] = _sine_of_turns(QUARTER - abs(turns))
                # Beyond a quarter of a turn the sine comes back.
                back = HALF - turns if turns > ZERO else -HALF - turns
                sine[i] = _sine_of_turns(back if abs(turns) > QUARTER else turns)
                dangle[i] = ZERO
            for unit in range(units):
                v, total = weight[number, f, unit], ZERO
                for i in range(n):
                    d = dout[number, unit, i]
                    total += d * wave[i]
                    dangle[i] += d * v
                dweight[number, f, unit] = total
            of_phase, of_frequency = ZERO, ZERO
            for i in range(n):
                d = -dangle[i] * sine[i]
                dangle[i] = d
                of_phase += d
                of_frequency += d * x[number, i]
            dphase[number, f], dfrequency[number, f] = of_phase, of_frequency * TURN32
            if wanted:
                for i in range(n):
                    dx[number, i] += dangle[i] * (w * TURN32)


def _in_float32(name, fast):
    """Return the compiled kernel for float32, NumPy's for all else."""
    plain = getattr(numpy_tables, name)

    @wraps(plain)
    def kernel(*arrays):
        (fast if arrays[0].dtype == F32 else plain)(*arrays)

    return kernel


scale_backward = _in_float32("scale_backward", _scale_backward)
learned_selu = _in_float32("learned_selu", _learned_selu)
learned_selu_backward = _in_float32("learned_selu_backward", _learned_selu_backward)
learned_mish = _in_float32("learned_mish", _learned_mish)
learned_mish_backward = _in_float32("learned_mish_backward", _learned_mish_backward)
waves = _in_float32("waves", _waves)
waves_backward = _in_float32("waves_backward", _waves_backward)
