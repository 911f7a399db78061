// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * Both directions of a {@link ParallelFor}: the library calls it, and its threads call the
 * library's task.
 */
final class Upcall {
  private Upcall() {}

  private static final MethodHandle TASK =
      Native.LINKER.downcallHandle(FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT));
  private static final FunctionDescriptor PARALLEL_FOR =
      FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, ADDRESS, ADDRESS);

  /** A sa_parallel_for that calls `pool`, as long as the arena lives. */
  static MemorySegment stub(ParallelFor pool, Arena arena) {
    MethodType type = PARALLEL_FOR.toMethodType().insertParameterTypes(0, ParallelFor.class);
    try {
      MethodHandle call = MethodHandles.lookup().findStatic(Upcall.class, "call", type);
      return Native.LINKER.upcallStub(call.bindTo(pool), PARALLEL_FOR, arena);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  private static void call(
      ParallelFor pool,
      MemorySegment context,
      int n,
      MemorySegment task,
      MemorySegment taskContext) {
    pool.run(n, i -> run(task, taskContext, i));
  }

  private static void run(MemorySegment task, MemorySegment context, int index) {
    try {
      TASK.invokeExact(task, context, index);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }
}
