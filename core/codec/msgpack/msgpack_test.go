package msgpack

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type record struct {
	Name string `json:"name"`
	Size uint8  `json:",omitempty"`
	Sum  [2]byte
	Tags []string
	When time.Time
	Next *record
}

func TestRoundTrip(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for _, v := range []any{
		true, -5, int64(math.MinInt64), uint64(math.MaxUint64), 1.5, math.Inf(1), "é", []byte("\xff"), []byte{},
		[]int{1, 2}, [2]string{"a", "b"}, map[string]int{"a": 1}, map[int]string{1: "a"}, []string{}, when,
		record{"n", 5, [2]byte{1, 2}, []string{"t"}, when, &record{Tags: []string{}}},
	} {
		data, err := Codec{}.Marshal(v)
		if err != nil {
			t.Errorf("%#v: %v", v, err)
			continue
		}
		got := reflect.New(reflect.TypeOf(v))
		if err := (Codec{}).Unmarshal(data, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), v) {
			t.Errorf("%#v: %q: %#v, %v", v, data, got.Elem(), err)
		}
	}
}

// What msgpack.packb of Python writes.
func TestUnmarshalAny(t *testing.T) {
	for data, want := range map[string]any{
		"\xc0":                                 nil,
		"\xc3":                                 true,
		"\xfb":                                 int64(-5),
		"\xcc\xc8":                             uint64(200),
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": uint64(math.MaxUint64),
		"\xcb?\xf8\x00\x00\x00\x00\x00\x00":    1.5,
		"\xa2\xc3\xa9":                         "é",
		"\xc4\x01\xff":                         []byte{0xff},
		"\x92\x01\xa1a":                        []any{int64(1), "a"},
		"\x82\x01\xa1a\xa1b\xc0":               map[any]any{int64(1): "a", "b": nil},
		"\xd6\xffiW5\xa5":                      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	} {
		var got any
		if err := (Codec{}).Unmarshal([]byte(data), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v", data, got, err)
		}
	}
}

// Rubbish neither takes vast memory nor ends the process.
func TestUnmarshalRefuses(t *testing.T) {
	for _, data := range []string{
		"", "\xc1", "\x01\x02", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
		"\xc9\xff\xff\xff\xff\x01", "\xa1", strings.Repeat("\x91", 1_000_000),
		"\x81\xa4Next" + strings.Repeat("\x81\xa4Next", 1_000_000), "\x81\xa4Tags\xdd\xff\xff\xff\xff",
	} {
		for _, into := range []any{new(any), new(record)} {
			if err := (Codec{}).Unmarshal([]byte(data), into); err == nil {
				t.Errorf("%.40q: %s", data, fmt.Sprint(into))
			}
		}
	}
	for data, into := range map[string]any{
		"\x81\x91\x01\x01": new(any), "\x93\x01\x02\x03": new([2]int), "\xcd\x01\x00": new(uint8), "\xff": new(uint), "\xa1a": new(int), "\x01": new(string),
	} {
		if err := (Codec{}).Unmarshal([]byte(data), into); err == nil {
			t.Errorf("%q: %v", data, reflect.ValueOf(into).Elem())
		}
	}
}
