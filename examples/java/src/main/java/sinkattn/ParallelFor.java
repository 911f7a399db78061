// SPDX-License-Identifier: MIT
package sinkattn;

import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * The host's threads: runs the task once for every number below nTasks, on any threads, and returns
 * when all have returned. It must not throw, which would end the virtual machine.
 */
@FunctionalInterface
public interface ParallelFor {
  void run(int nTasks, IntConsumer task);

  /** The common pool's threads. */
  static ParallelFor commonPool() {
    return (nTasks, task) -> IntStream.range(0, nTasks).parallel().forEach(task);
  }
}
