package pickle

// Opcodes of the pickle language (Lib/pickletools.py), those of them that CPython writes
// for plain data with protocols 2 to 5. Numbers are little-endian, unless it says else.
const (
	opMark            = '('
	opStop            = '.'
	opBinFloat        = 'G' // 8 bytes, big-endian
	opBinInt          = 'J' // 4 bytes, signed
	opBinInt1         = 'K' // 1 byte, unsigned
	opBinInt2         = 'M' // 2 bytes, unsigned
	opNone            = 'N'
	opReduce          = 'R'
	opBinUnicode      = 'X' // length in 4 bytes
	opAppend          = 'a'
	opAppends         = 'e'
	opGlobal          = 'c' // two lines
	opBinGet          = 'h' // 1 byte
	opLongBinGet      = 'j' // 4 bytes
	opEmptyList       = ']'
	opEmptyTuple      = ')'
	opEmptyDict       = '}'
	opBinPut          = 'q' // 1 byte
	opLongBinPut      = 'r' // 4 bytes
	opSetItem         = 's'
	opSetItems        = 'u'
	opTuple           = 't'
	opProto           = 0x80 // 1 byte
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a // length in 1 byte; two's complement
	opLong4           = 0x8b // length in 4 bytes; two's complement
	opBinBytes        = 'B'  // length in 4 bytes
	opShortBinBytes   = 'C'  // length in 1 byte
	opShortBinUnicode = 0x8c // length in 1 byte
	opBinUnicode8     = 0x8d // length in 8 bytes
	opBinBytes8       = 0x8e // length in 8 bytes
	opEmptySet        = 0x8f
	opAddItems        = 0x90
	opFrozenSet       = 0x91
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95 // 8 bytes
	opByteArray8      = 0x96 // length in 8 bytes
)

// The highest protocol that is read, and the one that is written.
const (
	maxProtocol     = 5
	writtenProtocol = 4
)
