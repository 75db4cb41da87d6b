package pickle

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load1 is what the pickle stands for, in a variable of type any.
func load1(t *testing.T, data string) any {
	t.Helper()
	var v any
	if err := Unmarshal([]byte(data), &v); err != nil {
		t.Errorf("%q: %v", data, err)
	}
	return v
}

func power(n int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(n)) }

// As CPython writes them.
func TestUnmarshalAny(t *testing.T) {
	for data, want := range map[string]any{
		"\x80\x02N.":                                                            nil,
		"\x80\x02\x88.":                                                         true,
		"\x80\x02J\xff\xff\xff\xff.":                                            int64(-1),
		"\x80\x02\x8a\x00.":                                                     int64(0),
		"\x80\x02\x8a\x05\x00\x00\x00\x80\x00.":                                 int64(1 << 31),
		"\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.":                     int64(math.MinInt64),
		"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.":                 power(63),
		"\x80\x02\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff.":                 new(big.Int).Not(power(63)),
		"\x80\x02G?\xf8\x00\x00\x00\x00\x00\x00.":                               1.5,
		"\x80\x02X\x02\x00\x00\x00\xc3\xa9q\x00.":                               "é",
		"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03\xed\xa0\x80\x94.": "\xed\xa0\x80",
		"\x80\x02c_codecs\nencode\nq\x00X\x02\x00\x00\x00\xc3\xbfq\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04.": []byte{0xff},
		"\x80\x02c__builtin__\nbytes\nq\x00)Rq\x01.":                                                                []byte{},
		"\x80\x03C\x01\xffq\x00.": []byte{0xff},
		"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94\x8c\x09bytearray\x94\x93\x94C\x01a\x94\x85\x94R\x94.": []byte("a"),
		"\x80\x05\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x96\x01\x00\x00\x00\x00\x00\x00\x00a\x94.":                                []byte("a"),
		"\x80\x02]q\x00(K\x01K\x02e.":                                  []any{int64(1), int64(2)},
		"\x80\x02]q\x00K\x01a.":                                        []any{int64(1)},
		"\x80\x02).":                                                   Tuple{},
		"\x80\x02K\x01K\x02\x86q\x00.":                                 Tuple{int64(1), int64(2)},
		"\x80\x02(K\x01K\x02K\x03K\x04tq\x00.":                         Tuple{int64(1), int64(2), int64(3), int64(4)},
		"\x80\x02}q\x00K\x01Ns.":                                       map[any]any{int64(1): nil},
		"\x80\x03}q\x00(C\x01kq\x01K\x01K\x02K\x03u.":                  map[any]any{Bytes("k"): int64(1), int64(2): int64(3)},
		"\x80\x02c__builtin__\nset\nq\x00]q\x01K\x01a\x85q\x02Rq\x03.": map[any]struct{}{int64(1): {}},
		"\x80\x04\x8f\x94(K\x01\x90.":                                  map[any]struct{}{int64(1): {}},
		"\x80\x04(K\x01\x91\x94.":                                      map[any]struct{}{int64(1): {}},
		"\x80\x04]\x94(]\x94K\x01ah\x01e.":                             []any{[]any{int64(1)}, []any{int64(1)}},
	} {
		if got := load1(t, data); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, not %#v", data, got, want)
		}
	}
}

type inner struct{ X int }

type record struct {
	inner
	Name    string         `json:"name"`
	Size    uint8          `json:",omitempty"`
	Left    string         `json:"-"`
	Sum     [2]byte        `json:"sum"`
	Tags    []string       `json:"tags"`
	Counts  map[string]int `json:"counts"`
	Next    *record        `json:"next"`
	private int
}

var typed = []any{
	true, 5, -5, int8(-128), uint64(math.MaxUint64), int64(math.MinInt64), int64(1) << 40, 70_000,
	1.5, float32(0.25), math.Inf(-1), "text", "", "\xed\xb3\xbf", Bytes("\xff"), []byte("\xff\x00"), []byte{},
	[3]byte{1, 2, 3}, []int{1, 2, 3}, []string{}, [2]string{"a", "b"}, [5]int{1, 2, 3, 4, 5}, [0]int{}, Tuple{int64(1), "a", nil},
	map[string][]int{"a": {1}, "b": {}}, map[[2]int]string{{1, 2}: "x"}, map[[1]any]any{{Bytes("k")}: []byte("v")},
	map[int]struct{}{1: {}, 2: {}}, map[Bytes]bool{"k": true}, map[string]string{},
	power(64), new(big.Int).Neg(power(3000)), power(2039), *power(2040), time.Duration(5),
	strings.Repeat("x", 70_000), []byte(strings.Repeat("\xff", 300)),
	record{inner{1}, "n", 2, "", [2]byte{1, 2}, []string{"t"}, map[string]int{"a": 1}, &record{Tags: []string{}, Counts: map[string]int{}}, 0},
	[]record{}, struct{}{}, (*int)(nil), []*int{nil, new(int)}, []any{nil, true, map[any]any{}},
}

// What Marshal writes Unmarshal reads, for a variable of the same type.
func TestRoundTrip(t *testing.T) {
	for _, v := range typed {
		data, err := Marshal(v)
		if err != nil {
			t.Errorf("%#v: %v", v, err)
			continue
		}
		got := reflect.New(reflect.TypeOf(v))
		if err := Unmarshal(data, got.Interface()); err != nil {
			t.Errorf("%#v: %q: %v", v, data, err)
		} else if !reflect.DeepEqual(got.Elem().Interface(), v) {
			t.Errorf("%#v: %q: %#v", v, data, got.Elem())
		}
	}
}

// Those that the extension decodes by itself (pybind/codec.c), and some others.
func TestMarshal(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "N."},
		{false, "\x89."},
		{255, "K\xff."},
		{256, "M\x00\x01."},
		{-1, "J\xff\xff\xff\xff."},
		{1 << 31, "\x8a\x08\x00\x00\x00\x80\x00\x00\x00\x00."},
		{uint64(1) << 63, "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."},
		{1.5, "G?\xf8\x00\x00\x00\x00\x00\x00."},
		{"é", "\x8c\x02\xc3\xa9."},
		{[]byte("a"), "C\x01a."},
		{[]int(nil), "\x80\x04]."},
		{map[string]int(nil), "\x80\x04}."},
		{[]int{1}, "\x80\x04](K\x01e."},
		{[2]int{1, 2}, "\x80\x04K\x01K\x02\x86."},
		{map[int]struct{}{1: {}}, "\x80\x04\x8f(K\x01\x90."},
		{struct {
			A int `json:"a"`
			B int `json:",omitempty"`
		}{}, "\x80\x04}(\x8c\x01aK\x00u."},
	} {
		if got, err := Marshal(c.v); err != nil || string(got) != c.want {
			t.Errorf("%#v: %q, %v", c.v, got, err)
		}
	}
}

func TestOuterFieldCounts(t *testing.T) {
	type outer struct {
		inner
		X string
	}
	data, err := Marshal(outer{inner{1}, "x"})
	if err != nil || string(data) != "\x80\x04}(\x8c\x01X\x8c\x01xu." {
		t.Errorf("%q, %v", data, err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	type ring struct{ Next *ring }
	loop := &ring{}
	loop.Next = loop
	for _, v := range []any{
		make(chan int), func() {}, 1i, time.Now(), "\xff", map[inner]int{{}: 1}, loop, []any{func() {}},
	} {
		if data, err := Marshal(v); !errors.Is(err, ErrNotPlain) {
			t.Errorf("%T: %q, %v", v, data, err)
		}
	}
}

// Nothing is called, and nothing else than plain data is made.
func TestUnmarshalRefuses(t *testing.T) {
	for _, data := range []string{
		"cposix\nsystem\n.",
		"cposix\nsystem\n\x8c\x02id\x85R.",
		"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
		"\x80\x04]\x8c\x08datetime\x8c\x04date\x93C\x04\x07\xea\x01\x02\x85Ra.",
		"\x80\x04\x8c\x08__main__\x8c\x01C\x93)\x81.", // NEWOBJ
		"(\x8c\x02idiposix\nsystem\n.",                // INST
		"(cposix\nsystem\n\x8c\x02ido.",               // OBJ
		"\x82\x01.", "K\x01Q.", "Pid\n.", "\x97.", "\x80\x05}}b.",
		"\x80\x06N.", "I1\n.",
		"\x80\x04]\x94h\x00a.", "\x80\x04}\x94K\x01h\x00s.", // they contain themselves
		"]" + strings.Repeat("\x85", maxDepth+1) + ".",
		"}K\x01K\x02\x86K\x03s.", "}]K\x03s.", "\x8f(\x8a\x09" + strings.Repeat("\x01", 9) + "\x90.", // as keys
	} {
		var v any
		if err := Unmarshal([]byte(data), &v); !errors.Is(err, ErrNotPlain) {
			t.Errorf("%.40q: %v, %v", data, v, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, data := range []string{
		"", ".", "N", "NN.", "N.N", "(N.", "a.", "K", "K\x01K\x02a.", "](}a", "]K\x01K\x02s.", "}(K\x01u.",
		"(K\x01\x85.", "h\x00.", "Nq\x01.", "\x94.", "X\xff\xff\xff\xff.", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
		"\x96\x00\x00\x00\x00\x10\x00\x00\x00.", "\x8b\xff\xff\xff\xff.", "\x95\xff\xff\xff\xff\xff\xff\xff\xffN.",
		"\x8c\x01\xff.", "\x8c\x03\xed\x9f\xff.", "t.", "e.", "cposix\n.", "NN\x93.", "N)R.",
		"cbuiltins\nset\nNR.", "cbuiltins\nset\nN\x85R.", "cbuiltins\nbytes\nK\x05\x85R.",
		"c_codecs\nencode\n\x8c\x02\xc4\x80\x8c\x06latin1\x86R.", "c_codecs\nencode\n\x8c\x01a\x8c\x05utf-8\x86R.",
	} {
		var v any
		if err := Unmarshal([]byte(data), &v); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v", data, v, err)
		}
	}
}

// What stands in several places is made once: these would be 2**60 lists.
func TestSharedIsMadeOnce(t *testing.T) {
	data := []byte("\x80\x04]")
	for i := range byte(60) {
		data = append(data, opMemoize, opBinGet, i, opTuple2)
	}
	v := load1(t, string(append(data, opStop)))
	depth := 0
	for pair, ok := v.(Tuple); ok; pair, ok = pair[0].(Tuple) {
		depth++
	}
	if depth != 60 {
		t.Error(depth)
	}
	var same [][]byte
	if err := Unmarshal([]byte("](C\x02ab\x94h\x00e."), &same); err != nil || len(same) != 2 || &same[0][0] != &same[1][0] {
		t.Errorf("%q, %v", same, err)
	}
}

// A pickler writes each object anew that a call makes something of, and each int. Else a
// short pickle could stand for as much as one likes here, too.
func TestMadeAgainAndAgain(t *testing.T) {
	for what, c := range map[string]struct{ data, again string }{
		"a str encoded": {"c_codecs\nencode\n\x94X\xe8\x03\x00\x00" + strings.Repeat("x", 1000) + "\x8c\x06latin1\x86\x94R", "h\x00h\x01R"},
		"a bytearray":   {"cbuiltins\nbytearray\n\x94B\xe8\x03\x00\x00" + strings.Repeat("x", 1000) + "\x94\x85R", "h\x00h\x01\x85R"},
		"a set":         {"cbuiltins\nset\n\x94]\x94(" + strings.Repeat("N", 1000) + "e\x85R", "h\x00h\x01\x85R"},
		"an int":        {"\x8b\xe8\x03\x00\x00" + strings.Repeat("x", 1000) + "\x94", "h\x00"},
	} {
		var v any
		if err := Unmarshal([]byte(c.data+"."), &v); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		err := Unmarshal([]byte("]("+c.data+c.again+"e."), &v)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTypeError(t *testing.T) {
	for _, c := range []struct {
		data string
		into any
		want string
	}{
		{"M\x00\x01.", new(uint8), "pickle: int 256 does not fit a variable of type uint8"},
		{"J\xff\xff\xff\xff.", new(uint), "pickle: int -1 does not fit a variable of type uint"},
		{"\x8a\x09" + strings.Repeat("\x01", 9) + ".", new(int64), "pickle: int of more than 64 bits does not fit a variable of type int64"},
		{"\x88.", new(int), "pickle: bool does not fit a variable of type int"},
		{"G?\xf8\x00\x00\x00\x00\x00\x00.", new(int), "pickle: float does not fit a variable of type int"},
		{"G\x7e\x37\xe4\x3c\x88\x00\x75\x9c.", new(float32), "pickle: float does not fit a variable of type float32"},
		{"N.", new(int), "pickle: None does not fit a variable of type int"},
		{"\x8c\x01a.", new([]byte), "pickle: str does not fit a variable of type []uint8"},
		{"\x8c\x01a.", new(Bytes), "pickle: str does not fit a variable of type pickle.Bytes"},
		{"C\x01a.", new(string), "pickle: bytes of length 1 does not fit a variable of type string"},
		{"C\x01a.", new([2]byte), "pickle: bytes of length 1 does not fit a variable of type [2]uint8"},
		{"C\x01a.", new(error), "pickle: bytes of length 1 does not fit a variable of type error"},
		{"].", new([2]int), "pickle: list of length 0 does not fit a variable of type [2]int"},
		{"].", new(map[int]int), "pickle: list of length 0 does not fit a variable of type map[int]int"},
		{"}K\x01K\x02s.", new([]int), "pickle: dict of length 1 does not fit a variable of type []int"},
		{"}K\x01K\x02s.", new(inner), "pickle: dict with a key of type int does not fit a variable of type pickle.inner"},
		{"\x8f.", new(map[int]bool), "pickle: set of length 0 does not fit a variable of type map[int]bool"},
	} {
		err := Unmarshal([]byte(c.data), c.into)
		if _, ok := err.(*TypeError); !ok || err.Error() != c.want {
			t.Errorf("%q: %v, not %s", c.data, err, c.want)
		}
	}
}

func TestUnmarshalIntoOtherTypes(t *testing.T) {
	for data, want := range map[string]any{
		"K\x05.": 5.0,
		"\x8a\x09" + strings.Repeat("\x00", 8) + "\x01.": math.Ldexp(1, 64),
		"K\x02K\x01\x86.":                  []int{2, 1},
		"](K\x02K\x01e.":                   [2]uint8{2, 1},
		"\x8f(K\x02\x90.":                  []int{2},
		"N.":                               map[string]int(nil),
		"}(\x8c\x01XK\x07\x8c\x01YK\x08u.": inner{7},
	} {
		got := reflect.New(reflect.TypeOf(want))
		if err := Unmarshal([]byte(data), got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%q: %#v, %v", data, got.Elem(), err)
		}
	}
	for _, into := range []any{nil, 5, (*int)(nil)} {
		if Unmarshal([]byte("K\x05."), into) == nil {
			t.Errorf("%T", into)
		}
	}
}
