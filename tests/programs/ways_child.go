// A dynamic Go program: its system calls are its runtime's own.
package main

// #include <stdlib.h>
import "C"
import "os"

func main() {
	file, err := os.OpenFile(os.Args[1], os.O_CREATE|os.O_WRONLY, 0640)
	if err == nil {
		_, err = file.WriteString("touched\n")
	}
	if err != nil {
		os.Exit(1)
	}
	C.abs(1)
}
