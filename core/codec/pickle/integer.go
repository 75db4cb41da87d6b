package pickle

import (
	"math/big"
	"slices"
)

// bigInteger returns the int that data is in two's complement, as an int64 if it is one.
func bigInteger(data []byte) object {
	digits := slices.Clone(data)
	slices.Reverse(digits)
	negative := digits[0] >= 0x80
	if negative {
		invert(digits)
	}
	n := new(big.Int).SetBytes(digits)
	if negative {
		n.Not(n)
	}
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// twosComplement returns n in two's complement, in as few bytes as it takes.
func twosComplement(n *big.Int) []byte {
	negative := n.Sign() < 0
	if negative {
		n = new(big.Int).Not(n)
	}
	digits := n.FillBytes(make([]byte, n.BitLen()/8+1))
	if negative {
		invert(digits)
	}
	slices.Reverse(digits)
	return digits
}

func invert(digits []byte) {
	for i := range digits {
		digits[i] = ^digits[i]
	}
}
