package pickle

import (
	"fmt"
	"math/big"
	"reflect"
)

var (
	bigIntType = reflect.TypeFor[big.Int]()
	byteType   = reflect.TypeFor[byte]()
	bytesType  = reflect.TypeFor[Bytes]()

	// Of variables of type any.
	naturalTypes = [...]reflect.Type{
		list:      reflect.TypeFor[[]any](),
		tuple:     reflect.TypeFor[Tuple](),
		dict:      reflect.TypeFor[map[any]any](),
		set:       reflect.TypeFor[map[any]struct{}](),
		frozenSet: reflect.TypeFor[map[any]struct{}](),
	}
)

// Unmarshal stores in *v what data, a pickle, stands for.
func Unmarshal(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return fmt.Errorf("pickle: Unmarshal stores in a variable, not in %T", v)
	}
	o, err := load(data)
	if err != nil {
		return err
	}
	return (&storer{made: map[source]reflect.Value{}}).store(rv.Elem(), o, place{})
}

// storer stores objects in variables. What the pickle shares is made once for each type:
// else a short pickle could stand for an endless amount of data.
type storer struct {
	made map[source]reflect.Value
}

// source is what a value was made of. The value is invalid as long as that goes on.
type source struct {
	object object
	t      reflect.Type
	key    bool
}

// place is where a variable is.
type place struct {
	depth int
	key   bool // in a key of a map
}

func (p place) below() place { return place{p.depth + 1, p.key} }

func (s *storer) store(v reflect.Value, o object, at place) error {
	if at.depth > maxDepth {
		return notPlain("nested more than %d levels deep", maxDepth)
	}
	switch {
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		return s.storeAny(v, o, at)
	case v.Kind() == reflect.Pointer && o != nil:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return s.store(v.Elem(), o, at.below())
	}
	switch o := o.(type) {
	case nil:
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			v.SetZero()
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(o)
			return nil
		}
	case int64, *big.Int:
		return storeInt(v, o)
	case float64:
		if v.CanFloat() && !v.OverflowFloat(o) {
			v.SetFloat(o)
			return nil
		}
	case string:
		if v.Kind() == reflect.String && v.Type() != bytesType {
			v.SetString(o)
			return nil
		}
	case *bytesObject:
		return s.storeBytes(v, o)
	case *collection:
		return s.storeCollection(v, o, at)
	case *global:
		return notPlain("%.100s", typeName(o))
	}
	return &TypeError{typeName(o), v.Type()}
}

// storeAny stores o in v, a variable of type any, as a value of a type of this method's
// choice.
func (s *storer) storeAny(v reflect.Value, o object, at place) error {
	var value reflect.Value
	switch o := o.(type) {
	case nil:
		v.SetZero()
		return nil
	case *bytesObject:
		value = reflect.New(reflect.TypeFor[[]byte]()).Elem()
		if at.key {
			value = reflect.New(bytesType).Elem()
		}
	case *collection:
		value = reflect.New(naturalTypes[o.kind]).Elem()
	case *big.Int:
		if at.key {
			return notPlain("an int of more than 64 bits as a key")
		}
		value = reflect.New(reflect.TypeFor[*big.Int]()).Elem()
	case *global:
		return notPlain("%.100s", typeName(o))
	default:
		v.Set(reflect.ValueOf(o))
		return nil
	}
	if err := s.store(value, o, at); err != nil {
		return err
	}
	v.Set(value)
	return nil
}

// storeInt stores an int64 or a *big.Int.
func storeInt(v reflect.Value, o object) error {
	n, small := o.(int64)
	large, _ := o.(*big.Int)
	switch {
	case v.Type() == bigIntType && small:
		v.Addr().Interface().(*big.Int).SetInt64(n)
		return nil
	case v.Type() == bigIntType:
		v.Addr().Interface().(*big.Int).Set(large)
		return nil
	case v.CanInt() && small && !v.OverflowInt(n):
		v.SetInt(n)
		return nil
	case v.CanUint() && small && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
		return nil
	case v.CanUint() && !small && large.IsUint64() && !v.OverflowUint(large.Uint64()):
		v.SetUint(large.Uint64())
		return nil
	case v.CanFloat() && small:
		v.SetFloat(float64(n))
		return nil
	case v.CanFloat():
		f, _ := new(big.Float).SetInt(large).Float64()
		if !v.OverflowFloat(f) {
			v.SetFloat(f)
			return nil
		}
	}
	what := "int of more than 64 bits"
	if small {
		what = fmt.Sprint("int ", n)
	}
	return &TypeError{what, v.Type()}
}

func (s *storer) storeBytes(v reflect.Value, o *bytesObject) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Array && t.Elem() == byteType && t.Len() == len(o.data):
		reflect.Copy(v, reflect.ValueOf(o.data))
		return nil
	case t != bytesType && (t.Kind() != reflect.Slice || t.Elem() != byteType):
		return &TypeError{fmt.Sprintf("%s of length %d", o.name, len(o.data)), t}
	}
	from := source{o, t, false}
	made, ok := s.made[from]
	if !ok {
		made = reflect.ValueOf(append([]byte{}, o.data...)).Convert(t)
		s.made[from] = made
	}
	v.Set(made)
	return nil
}

func (s *storer) storeCollection(v reflect.Value, c *collection, at place) error {
	if !c.shared {
		return s.fill(v, c, at)
	}
	from := source{c, v.Type(), at.key}
	if made, ok := s.made[from]; ok {
		if !made.IsValid() {
			return notPlain("%s that contains itself", kindNames[c.kind])
		}
		v.Set(made)
		return nil
	}
	s.made[from] = reflect.Value{}
	if err := s.fill(v, c, at); err != nil {
		return err
	}
	made := reflect.New(v.Type()).Elem()
	made.Set(v)
	s.made[from] = made
	return nil
}

// fill makes v of what is in c.
func (s *storer) fill(v reflect.Value, c *collection, at place) error {
	t := v.Type()
	switch {
	case at.key && t.Kind() != reflect.Array:
		return notPlain("%s as a key of a map, in a variable of type %s", kindNames[c.kind], t)
	case c.kind == dict && t.Kind() == reflect.Map:
		return s.fillMap(v, c, at)
	case c.kind == dict && t.Kind() == reflect.Struct && t != bigIntType:
		return s.fillStruct(v, c, at)
	case c.kind == dict:
	case t.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(t, len(c.items), len(c.items)))
		return s.fillElements(v, c, at)
	case t.Kind() == reflect.Array && t.Len() == len(c.items) && (c.kind == list || c.kind == tuple):
		return s.fillElements(v, c, at)
	case isSet(t) && (c.kind == set || c.kind == frozenSet):
		return s.fillSet(v, c, at)
	}
	return &TypeError{fmt.Sprintf("%s of length %d", kindNames[c.kind], c.length()), t}
}

// isSet reports whether values of type t are sets in Python.
func isSet(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct && t.Elem().NumField() == 0
}

func (s *storer) fillElements(v reflect.Value, c *collection, at place) error {
	for i, item := range c.items {
		if err := s.store(v.Index(i), item, at.below()); err != nil {
			return err
		}
	}
	return nil
}

func (s *storer) fillMap(v reflect.Value, c *collection, at place) error {
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, len(c.items)/2))
	for i := 0; i < len(c.items); i += 2 {
		key, err := s.key(t.Key(), c.items[i], at)
		if err != nil {
			return err
		}
		value := reflect.New(t.Elem()).Elem()
		if err := s.store(value, c.items[i+1], at.below()); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

func (s *storer) fillSet(v reflect.Value, c *collection, at place) error {
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, len(c.items)))
	for _, item := range c.items {
		key, err := s.key(t.Key(), item, at)
		if err != nil {
			return err
		}
		v.SetMapIndex(key, reflect.Zero(t.Elem()))
	}
	return nil
}

// key returns o as a key of type t.
func (s *storer) key(t reflect.Type, o object, at place) (reflect.Value, error) {
	key := reflect.New(t).Elem()
	return key, s.store(key, o, place{at.depth + 1, true})
}

func (s *storer) fillStruct(v reflect.Value, c *collection, at place) error {
	f := fieldsOf(v.Type())
	for i := 0; i < len(c.items); i += 2 {
		name, ok := c.items[i].(string)
		if !ok {
			return &TypeError{"dict with a key of type " + typeName(c.items[i]), v.Type()}
		}
		if to, ok := f.named[name]; ok {
			if err := s.store(v.FieldByIndex(to.index), c.items[i+1], at.below()); err != nil {
				return err
			}
		}
	}
	return nil
}
