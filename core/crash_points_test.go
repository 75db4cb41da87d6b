//go:build crash

package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// faultPoints returns all fault points of the engine, and the files that they are in.
func faultPoints(t testing.TB) map[string]string {
	t.Helper()
	points := map[string]string{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isFault(call.Fun) {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%v: a fault point that is no literal", fset.Position(call.Pos()))
				return true
			}
			point, err := strconv.Unquote(literal.Value)
			if err != nil || points[point] != "" {
				t.Errorf("%v: %s is in %s, too; %v", fset.Position(call.Pos()), literal.Value, points[point], err)
			}
			points[point] = path
			return true
		})
		return nil
	})
	if err != nil || len(points) == 0 {
		t.Fatal(len(points), " fault points: ", err)
	}
	return points
}

func isFault(function ast.Expr) bool {
	selector, ok := function.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	return ok && pkg.Name == "fault" && selector.Sel.Name == "Here"
}

// What is shared by a run's processes: plights, and behind them the noise, which a process
// that is to live for a moment need not make.
const (
	sizeOfPlights = (victimsAtOnce*unsafe.Sizeof(plight{}) + 4095) &^ 4095
	sizeOfShared  = sizeOfPlights + sizeOfNoise
)

func newPlights(t testing.TB) (*os.File, []plight) {
	t.Helper()
	fd, err := unix.MemfdCreate("plights", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "plights")
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteAt(noise(), int64(sizeOfPlights)); err != nil {
		t.Fatal(err)
	}
	p, _, err := openPlights(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.MunmapPtr(unsafe.Pointer(&p[0]), sizeOfShared) })
	return f, p
}

func openPlights(f *os.File) (p []plight, noise []byte, err error) {
	m, err := unix.MmapPtr(int(f.Fd()), 0, nil, sizeOfShared, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	p = unsafe.Slice((*plight)(m), victimsAtOnce)
	return p, unsafe.Slice((*byte)(unsafe.Add(m, sizeOfPlights)), sizeOfNoise), nil
}
