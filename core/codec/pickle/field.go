package pickle

import (
	"reflect"
	"strings"
	"sync"
)

// fields are those of a struct that have keys in the dict.
type fields struct {
	list  []field
	named map[string]field
}

type field struct {
	name      string
	index     []int // for reflect.Value.FieldByIndex
	omitEmpty bool
}

var known sync.Map // of reflect.Type: *fields

func fieldsOf(t reflect.Type) *fields {
	if f, ok := known.Load(t); ok {
		return f.(*fields)
	}
	all := appendFields(nil, t, nil)
	f := &fields{named: map[string]field{}}
	for _, one := range all {
		// Of two with the same name the outer one counts.
		if other, ok := f.named[one.name]; !ok || len(one.index) < len(other.index) {
			f.named[one.name] = one
		}
	}
	for _, one := range all {
		if len(one.index) == len(f.named[one.name].index) {
			f.list = append(f.list, one)
		}
	}
	known.Store(t, f)
	return f
}

// appendFields appends the fields of t, which is at index of the outermost struct.
func appendFields(list []field, t reflect.Type, index []int) []field {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		at := append(index[:len(index):len(index)], i)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			list = appendFields(list, f.Type, at)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			list = append(list, field{name, at, strings.Contains(","+options+",", ",omitempty,")})
		}
	}
	return list
}

// isEmpty reports whether v is what omitempty omits.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
