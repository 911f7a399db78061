package sinkattn

// The host's parallel loop, as the library calls it. SPDX-License-Identifier: MIT

/*
#include <sinkattn.h>
#include <stdlib.h>

extern void sinkattnParallelFor(void *context, int32_t n_tasks, void *task, void *task_context);

static inline void sinkattn_parallel_for(void *context, int32_t n_tasks, sa_task task, void *task_context) {
    sinkattnParallelFor(context, n_tasks, (void *)task, task_context);
}

static inline void sinkattn_set_parallel(sa_config *config, void *context) {
    config->parallel_for = sinkattn_parallel_for;
    config->parallel_context = context;
}

static inline void sinkattn_run(void *task, void *task_context, int32_t i) { ((sa_task)task)(task_context, i); }
*/
import "C"

import (
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Goroutines is a Config.Parallel that starts a goroutine for each task but one. The work of a token or two is over before
// they have started: it pays for prompts, for batches, and for large caches.
func Goroutines(n int, task func(i int)) {
	var done sync.WaitGroup
	for i := 1; i < n; i++ {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			task(i)
		}(i)
	}
	if n > 0 {
		task(0)
	}
	done.Wait()
}

// loop is a Config.Parallel at work, and the panic that came out of it.
type loop struct {
	run   func(n int, task func(i int))
	panic any
}

// tasks is one call of the library. Any goroutine may do any task, once.
type tasks struct {
	task, context unsafe.Pointer
	taken         []atomic.Bool
	done          sync.WaitGroup
}

func (t *tasks) do(i int) {
	if i >= 0 && i < len(t.taken) && !t.taken[i].Swap(true) {
		defer t.done.Done()
		C.sinkattn_run(t.task, t.context, C.int32_t(i))
	}
}

func setParallel(config *C.sa_config, context unsafe.Pointer) {
	C.sinkattn_set_parallel(config, context)
}

// newContext is a cell of C that has the handle of a loop: C may keep its address.
func newContext(l *loop) unsafe.Pointer {
	cell := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(cell) = cgo.NewHandle(l)
	return cell
}

func freeContext(cell unsafe.Pointer) {
	if cell != nil {
		(*(*cgo.Handle)(cell)).Delete()
		C.free(cell)
	}
}

// sinkattnParallelFor returns when each task has been done once, whatever the host's loop does: one that leaves some out,
// does some twice, comes back too early or panics. The panic goes on when the library has returned.
//
//export sinkattnParallelFor
func sinkattnParallelFor(context unsafe.Pointer, nTasks C.int32_t, task, taskContext unsafe.Pointer) {
	l := (*(*cgo.Handle)(context)).Value().(*loop)
	n := int(nTasks)
	t := &tasks{task: task, context: taskContext, taken: make([]atomic.Bool, n)}
	t.done.Add(n)
	func() {
		defer func() { l.panic = recover() }()
		l.run(n, t.do)
	}()
	for i := 0; i < n; i++ {
		t.do(i)
	}
	t.done.Wait()
}
