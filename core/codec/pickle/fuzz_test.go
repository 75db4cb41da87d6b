package pickle

import (
	"errors"
	"reflect"
	"testing"
)

// A pickle is refused, or stands for what can be pickled again and is the same then.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range typed {
		data, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 300 {
			f.Add(data)
		}
	}
	f.Add([]byte("\x80\x04]\x94(]\x94K\x01ah\x01e."))
	f.Add([]byte("\x80\x02c_codecs\nencode\nq\x00X\x02\x00\x00\x00\xc3\xbfq\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04."))
	f.Add([]byte("\x80\x02c__builtin__\nset\nq\x00]q\x01K\x01a\x85q\x02Rq\x03."))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{new(any), new(record), new([]map[string][2]any), new(map[[2]any][]byte)} {
			err := Unmarshal(data, into)
			if err != nil {
				var mismatch *TypeError
				if !errors.Is(err, ErrNotPlain) && !errors.Is(err, ErrMalformed) && !errors.As(err, &mismatch) {
					t.Errorf("%v", err)
				}
				continue
			}
			if len(data) > 100 {
				continue // what it shares would be written too often
			}
			again, err := Marshal(into)
			if err != nil {
				t.Fatal(err)
			}
			same := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := Unmarshal(again, same); err != nil {
				t.Fatal(err)
			}
		}
	})
}
