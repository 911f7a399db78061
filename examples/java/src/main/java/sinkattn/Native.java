// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandleProxies;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The library's functions. Each is an instance of an interface with one method, whose Java types
 * say the C types, so a wrong argument is a compile error. Pointers are segments: the linker keeps
 * what they lie in alive during a call, and refuses one whose arena has been closed or belongs to
 * another thread.
 */
final class Native {
  private Native() {}

  static final Linker LINKER = Linker.nativeLinker();
  private static final SymbolLookup LIBRARY = open();

  /** The property sinkattn.library names the shared library; by default the system finds it. */
  private static SymbolLookup open() {
    String path = System.getProperty("sinkattn.library");
    return path != null
        ? SymbolLookup.libraryLookup(Path.of(path), Arena.global())
        : SymbolLookup.libraryLookup(System.mapLibraryName("sinkattn"), Arena.global());
  }

  private static <T> T bind(String name, Class<T> shape) {
    MemorySegment address =
        LIBRARY
            .find(name)
            .orElseThrow(() -> new UnsatisfiedLinkError("the library has no " + name));
    return MethodHandleProxies.asInterfaceInstance(
        shape, LINKER.downcallHandle(address, descriptor(shape)));
  }

  private static FunctionDescriptor descriptor(Class<?> shape) {
    Method method = shape.getDeclaredMethods()[0];
    MemoryLayout[] arguments =
        Arrays.stream(method.getParameterTypes()).map(Native::layout).toArray(MemoryLayout[]::new);
    return method.getReturnType() == void.class
        ? FunctionDescriptor.ofVoid(arguments)
        : FunctionDescriptor.of(layout(method.getReturnType()), arguments);
  }

  private static MemoryLayout layout(Class<?> type) {
    if (type == int.class) return JAVA_INT;
    if (type == long.class) return JAVA_LONG;
    return ADDRESS;
  }

  /** A constant sentence of the library. */
  static String text(MemorySegment pointer) {
    return pointer.reinterpret(Long.MAX_VALUE).getString(0);
  }

  public interface Number {
    int call();
  }

  public interface Text {
    MemorySegment call();
  }

  public interface NumberOf {
    int call(int number);
  }

  public interface TextOf {
    MemorySegment call(int number);
  }

  public interface Sentence {
    MemorySegment call(MemorySegment of);
  }

  public interface Three {
    int call(MemorySegment a, MemorySegment b, MemorySegment c);
  }

  public interface Two {
    int call(MemorySegment of, MemorySegment a);
  }

  public interface Init {
    int call(MemorySegment memory, long size, MemorySegment config, MemorySegment out);
  }

  public interface End {
    void call(MemorySegment cache);
  }

  public interface Tensors2 {
    int call(MemorySegment cache, int layer, int nTokens, MemorySegment a, MemorySegment b);
  }

  public interface Tensors4 {
    int call(
        MemorySegment cache,
        int layer,
        int nTokens,
        MemorySegment q,
        MemorySegment k,
        MemorySegment v,
        MemorySegment out);
  }

  public interface Layer {
    int call(MemorySegment cache, int layer);
  }

  public interface LayerTo {
    int call(MemorySegment cache, int layer, long to);
  }

  public interface LayerRange {
    int call(MemorySegment cache, int layer, long from, long end);
  }

  public interface LayerRemove {
    int call(MemorySegment cache, int layer, long from, long end, int gap);
  }

  public interface LayerOut {
    int call(MemorySegment cache, int layer, MemorySegment out);
  }

  public interface HeadOut {
    int call(MemorySegment pool, int layer, int kvHead, MemorySegment out);
  }

  public interface Spans {
    int call(
        MemorySegment cache, int layer, int kvHead, int room, MemorySegment out, MemorySegment n);
  }

  public interface Positions {
    int call(
        MemorySegment cache, int layer, int kvHead, long room, MemorySegment out, MemorySegment n);
  }

  public interface NodePath {
    int call(MemorySegment cache, int layer, int n, MemorySegment path);
  }

  public interface LayerTwo {
    int call(MemorySegment cache, int layer, MemorySegment k, MemorySegment v);
  }

  public interface SaveSize {
    int call(MemorySegment cache, long from, MemorySegment out);
  }

  public interface Save {
    int call(MemorySegment cache, long from, MemorySegment data, long size, MemorySegment written);
  }

  public interface Load {
    int call(MemorySegment cache, MemorySegment data, long size);
  }

  public interface Batch {
    int call(
        MemorySegment pool, int n, MemorySegment caches, MemorySegment args, MemorySegment failed);
  }

  public interface BatchBegin {
    int call(
        MemorySegment pool,
        int n,
        MemorySegment caches,
        MemorySegment args,
        MemorySegment phases,
        MemorySegment failed);
  }

  public interface Part {
    int call(MemorySegment of, int phase, int index, int count);
  }

  public interface Merge {
    int call(
        long rows,
        int dims,
        MemorySegment maxA,
        MemorySegment sumA,
        MemorySegment accA,
        MemorySegment maxB,
        MemorySegment sumB,
        MemorySegment accB);
  }

  public interface Finish {
    int call(
        long rows,
        int dims,
        MemorySegment max,
        MemorySegment sum,
        MemorySegment acc,
        MemorySegment lse);
  }

  static final Number VERSION = bind("sa_version", Number.class);
  static final Text VERSION_STRING = bind("sa_version_string", Text.class);
  static final TextOf STATUS_STRING = bind("sa_status_string", TextOf.class);
  static final Number ISA_BEST = bind("sa_isa_best", Number.class);
  static final NumberOf ISA_AVAILABLE = bind("sa_isa_available", NumberOf.class);
  static final TextOf ISA_NAME = bind("sa_isa_name", TextOf.class);

  static final Three CONFIG_CHECK = bind("sa_config_check", Three.class);
  static final Three CACHE_SIZE = bind("sa_cache_size", Three.class);
  static final Init CACHE_INIT = bind("sa_cache_init", Init.class);
  static final End CACHE_DESTROY = bind("sa_cache_destroy", End.class);
  static final Sentence CACHE_ERROR = bind("sa_cache_error", Sentence.class);

  static final Tensors2 APPEND_KV = bind("sa_append_kv", Tensors2.class);
  static final Tensors2 ATTEND = bind("sa_attend", Tensors2.class);
  static final Tensors4 APPEND_ATTEND = bind("sa_append_attend", Tensors4.class);
  static final Two STEP = bind("sa_step", Two.class);
  static final Three STEP_BEGIN = bind("sa_step_begin", Three.class);
  static final Part STEP_PART = bind("sa_step_part", Part.class);

  static final Layer RESET = bind("sa_cache_reset", Layer.class);
  static final LayerTo ROLLBACK = bind("sa_cache_rollback", LayerTo.class);
  static final LayerTo SEEK = bind("sa_cache_seek", LayerTo.class);
  static final LayerTo RESTART = bind("sa_cache_restart", LayerTo.class);
  static final LayerRemove REMOVE = bind("sa_cache_remove", LayerRemove.class);
  static final LayerRange PIN = bind("sa_cache_pin", LayerRange.class);
  static final LayerRange UNPIN = bind("sa_cache_unpin", LayerRange.class);
  static final LayerRange ANCHOR = bind("sa_cache_anchor", LayerRange.class);
  static final LayerOut INFO = bind("sa_cache_info", LayerOut.class);
  static final Spans SPANS = bind("sa_cache_spans", Spans.class);
  static final Positions POSITIONS = bind("sa_cache_positions", Positions.class);
  static final Two READ = bind("sa_cache_read", Two.class);
  static final LayerTwo SET_SINK_KV = bind("sa_set_sink_kv", LayerTwo.class);
  static final Two SET_ROWS = bind("sa_set_rows", Two.class);
  static final NodePath DRAFT_ACCEPT = bind("sa_draft_accept", NodePath.class);

  static final Two FORK = bind("sa_cache_fork", Two.class);
  static final SaveSize SAVE_SIZE = bind("sa_cache_save_size", SaveSize.class);
  static final Save SAVE = bind("sa_cache_save", Save.class);
  static final Load LOAD = bind("sa_cache_load", Load.class);

  static final Three POOL_SIZE = bind("sa_pool_size", Three.class);
  static final Init POOL_INIT = bind("sa_pool_init", Init.class);
  static final Batch POOL_CAN_APPEND = bind("sa_pool_can_append", Batch.class);
  static final Two POOL_OPEN = bind("sa_pool_open", Two.class);
  static final HeadOut POOL_INFO = bind("sa_pool_info", HeadOut.class);
  static final Sentence POOL_ERROR = bind("sa_pool_error", Sentence.class);
  static final Batch BATCH = bind("sa_batch", Batch.class);
  static final BatchBegin BATCH_BEGIN = bind("sa_batch_begin", BatchBegin.class);
  static final Part BATCH_PART = bind("sa_batch_part", Part.class);

  static final Merge MERGE_PARTIAL = bind("sa_merge_partial", Merge.class);
  static final Finish FINISH_PARTIAL = bind("sa_finish_partial", Finish.class);
}
