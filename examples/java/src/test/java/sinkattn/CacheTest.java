// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The layouts against tests/abi/layout.c, each call once against a law of the library, and what is
 * refused. Run from the repository's top; prints a line for each test and ends with "N passed, N
 * failed".
 */
final class CacheTest {
  private static final int HEADS = 4;
  private static final int KV_HEADS = 2;
  private static final int DIM = 8;

  private static final Random RANDOM = new Random(1);

  interface Test {
    void run(Arena arena) throws Exception;
  }

  private static Config config() {
    return new Config(1, HEADS, DIM, 14, Config.Position.ROPE)
        .nKvHeads(KV_HEADS)
        .nSink(2)
        .maxAppend(8)
        .rollback(8);
  }

  private static float[] draw(int n) {
    float[] numbers = new float[n];
    for (int i = 0; i < n; i++) {
      numbers[i] = 2 * RANDOM.nextFloat() - 1;
    }
    return numbers;
  }

  /** The tensors of n new tokens. */
  private record Tokens(int n, float[] q, float[] k, float[] v, float[] out) {
    static Tokens draw(int n) {
      return new Tokens(
          n,
          CacheTest.draw(n * HEADS * DIM),
          CacheTest.draw(n * KV_HEADS * DIM),
          CacheTest.draw(n * KV_HEADS * DIM),
          new float[n * HEADS * DIM]);
    }

    Tokens feed(Cache cache) {
      cache.appendAttend(0, n, q, k, v, out);
      return this;
    }

    Step step(Arena arena) {
      return new Step(0, n).q(of(arena, q)).k(of(arena, k)).v(of(arena, v)).out(of(arena, out));
    }
  }

  private static Tensor of(Arena arena, float[] numbers) {
    return Tensor.of(arena.allocateFrom(JAVA_FLOAT, numbers));
  }

  private static void expect(boolean holds, Object what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  private static void same(float[] a, float[] b) {
    expect(Arrays.equals(a, b), "bits differ");
    for (float x : a) {
      expect(Float.isFinite(x), "not finite");
    }
  }

  private static <T extends Throwable> T refused(Class<T> kind, Runnable call) {
    try {
      call.run();
    } catch (Throwable t) {
      if (kind.isInstance(t)) {
        return kind.cast(t);
      }
      throw t;
    }
    throw new AssertionError("not refused by a " + kind.getSimpleName());
  }

  private static void refused(SinkattnException.Status status, String sentence, Runnable call) {
    SinkattnException e = refused(SinkattnException.class, call);
    expect(
        e.status() == status && e.getMessage().contains(sentence),
        e.status() + ": " + e.getMessage());
  }

  /* The interface's sizes, places and numbers. */

  private static List<String[]> lines(String macro) throws IOException {
    List<String[]> found = new ArrayList<>();
    Matcher m =
        Pattern.compile("^" + macro + "\\((.*)\\)$", Pattern.MULTILINE)
            .matcher(Files.readString(Path.of("tests/abi/layout.c")));
    while (m.find()) {
      found.add(m.group(1).split(", "));
    }
    return found;
  }

  private static final List<Struct> STRUCTS =
      List.of(
          Struct.TENSOR,
          Struct.CONFIG,
          Struct.STEP,
          Struct.READ,
          Struct.ROWS,
          Struct.CACHE_FACTS,
          Struct.POOL_FACTS,
          Struct.SPAN);

  private static void structs(Arena arena) throws IOException {
    for (String[] line : lines("SIZE")) {
      if (line[0].equals("sa_allocator")) {
        continue; // memory is an arena's
      }
      Struct type =
          STRUCTS.stream().filter(s -> s.name().equals(line[0])).findFirst().orElseThrow();
      expect(type.layout().byteSize() == Long.parseLong(line[1]), line[0]);
      List<String> expected = new ArrayList<>();
      for (String[] field : lines("FIELD")) {
        if (field[0].equals(line[0])) {
          expected.add(field[1] + "=" + field[2]);
        }
      }
      expect(
          ("{" + String.join(", ", expected) + "}").equals(type.places().toString()),
          type.places());
    }
  }

  private static void numbers(Arena arena) throws IOException {
    Map<String, Integer> known =
        new HashMap<>(Map.of("SA_SUCCESS", 0, "SA_ALL_LAYERS", Cache.ALL_LAYERS));
    known.put("SA_CONFIG_YARN_NO_TRUNCATE", Config.YARN_NO_TRUNCATE);
    known.put("SA_CONFIG_COOPERATIVE", Config.COOPERATIVE);
    known.put("SA_TENSOR_STRIDES_GIVEN", Tensor.STRIDES_GIVEN);
    known.put("SA_STEP_NODES", Step.NODES);
    known.put("SA_STEP_MASS_PER_HEAD", Step.MASS_PER_HEAD);
    known.put("SA_READ_ROWS", Reading.ROWS);
    known.put("SA_ROWS_AT_DISTANCE", Rows.AT_DISTANCE);
    for (SinkattnException.Status s : SinkattnException.Status.values()) {
      known.put("SA_ERR_" + s, s.number);
    }
    known.remove("SA_ERR_UNKNOWN");
    for (Dtype d : Dtype.values()) {
      known.put("SA_" + d, d.number);
    }
    for (Config.Position p : Config.Position.values()) {
      known.put("SA_POSITION_" + p, p.number());
    }
    byOrdinal(known, "SA_POLICY_", Config.Policy.values());
    byOrdinal(known, "SA_", Config.PositionMode.values());
    byOrdinal(known, "SA_ROPE_", Config.RopeLayout.values());
    byOrdinal(known, "SA_ROPE_SCALING_", Config.RopeScaling.values());
    byOrdinal(known, "SA_SINK_KV_", Config.SinkKvPosition.values());
    byOrdinal(known, "SA_ISA_", Isa.values());
    byOrdinal(known, "SA_GAP_", Cache.Gap.values());
    byOrdinal(known, "SA_SPAN_", Span.Kind.values());
    byOrdinal(known, "SA_KEY_", Reading.KeyForm.values());
    Map<String, Integer> expected = new HashMap<>();
    for (String[] line : lines("NUMBER")) {
      expected.put(line[0], Integer.parseInt(line[1]));
    }
    expect(known.equals(expected), known);
  }

  private static void byOrdinal(Map<String, Integer> known, String prefix, Enum<?>[] values) {
    for (Enum<?> value : values) {
      known.put(prefix + value, value.ordinal());
    }
  }

  /** Memory is an arena's, so nothing else allocates it. */
  private static final List<String> NOT_HERE =
      List.of("sa_cache_create", "sa_pool_create", "sa_pool_destroy");

  private static void functions(Arena arena) throws Exception {
    String source = Files.readString(Path.of("examples/java/src/main/java/sinkattn/Native.java"));
    Matcher m =
        Pattern.compile("^    (sa_[a-z_]*);$", Pattern.MULTILINE)
            .matcher(Files.readString(Path.of("lib/sinkattn.map")));
    int found = 0;
    while (m.find()) {
      boolean bound = source.contains("\"" + m.group(1) + "\"");
      expect(bound != NOT_HERE.contains(m.group(1)), m.group(1));
      found++;
    }
    expect(found >= 45, found);
    for (Field field : Native.class.getDeclaredFields()) {
      field.setAccessible(true);
      expect(field.get(null) != null, field);
    }
  }

  /* Laws. */

  private static void threeCalls(Arena arena) {
    Cache a = Cache.create(arena, config());
    Cache b = Cache.create(arena, config());
    Cache c = Cache.create(arena, config());
    for (int t = 0; t < 40; t++) {
      Tokens one = Tokens.draw(1).feed(b);
      float[] out = new float[HEADS * DIM];
      a.appendKv(0, 1, one.k, one.v);
      a.attend(0, 1, one.q, out);
      same(one.out, out);
      MemorySegment result = arena.allocate(JAVA_FLOAT, HEADS * DIM);
      c.step(one.step(arena).out(Tensor.of(result)));
      same(one.out, result.toArray(JAVA_FLOAT));
    }
    CacheFacts facts = a.info(0);
    expect(facts.tokensSeen() == 40 && facts.positionsHeld() == 16, facts);
    expect(facts.cacheSize() == Cache.size(config()), facts);
  }

  /** Heads first, then tokens, from an odd place; results into every second row. */
  private static void strides(Arena arena) {
    Cache a = Cache.create(arena, config());
    Cache b = Cache.create(arena, config());
    Tokens given = Tokens.draw(5).feed(a);
    long row = DIM * Float.BYTES;
    MemorySegment wide = arena.allocate(5 * HEADS * 2 * row);
    b.step(
        new Step(0, 5)
            .q(turned(arena, given.q, HEADS))
            .k(turned(arena, given.k, KV_HEADS))
            .v(turned(arena, given.v, KV_HEADS))
            .out(new Tensor(wide, 0, Tensor.CONTIGUOUS, 2 * row, Dtype.F32)));
    for (int i = 0; i < given.out.length; i++) {
      expect(wide.getAtIndex(JAVA_FLOAT, i / DIM * 2 * DIM + i % DIM) == given.out[i], i);
    }
  }

  private static Tensor turned(Arena arena, float[] x, int heads) {
    MemorySegment to = arena.allocate(12 + 4L * x.length);
    for (int t = 0; t < 5; t++) {
      for (int h = 0; h < heads; h++) {
        MemorySegment.copy(
            x, (t * heads + h) * DIM, to, JAVA_FLOAT, 12 + 4 * (h * 5 + t) * DIM, DIM);
      }
    }
    return new Tensor(to, 12, DIM * Float.BYTES, 5 * DIM * Float.BYTES, null);
  }

  private static void refusals(Arena arena) {
    Cache cache = Cache.create(arena, config());
    Tokens one = Tokens.draw(1);
    refused(
        SinkattnException.Status.ARGUMENT,
        "layer must be 0",
        () -> cache.appendKv(7, 1, one.k, one.v));
    expect(cache.error().startsWith("layer must be 0"), cache.error());
    refused(SinkattnException.Status.DEPTH, "", () -> cache.attend(0, 1, one.q, one.out));
    refused(SinkattnException.Status.ARGUMENT, "", () -> cache.rollback(0, 1));
    refused(SinkattnException.Status.ARGUMENT, "", () -> cache.info(1));
    refused(SinkattnException.Status.FORMAT, "", () -> cache.load(new byte[128]));
    refused(SinkattnException.Status.POOL, "", cache::fork);
    refused(
        SinkattnException.Status.CONFIG,
        "window",
        () -> new Config(1, 1, 1, 0, Config.Position.NONE).check());
    Config wrong = config().layers(new Config(0, HEADS, 0, 14, Config.Position.NONE));
    expect(refused(SinkattnException.class, wrong::check).index() == 0, "layer 0");
    refused(IndexOutOfBoundsException.class, () -> cache.appendKv(0, 2, one.k, one.v));
    Tensor small = Tensor.floats(arena, 31);
    refused(IndexOutOfBoundsException.class, () -> cache.step(one.step(arena).q(small)));
    refused(IllegalArgumentException.class, () -> config().sinkLogits(1, 2).check());
    refused(IllegalArgumentException.class, () -> Tensor.of(MemorySegment.ofArray(one.q)));
    expect(cache.info(0).tokensSeen() == 0, "nothing has changed");
  }

  private static void lifetimes(Arena arena) throws Exception {
    Cache outlives;
    Step dangling;
    Cache cache = Cache.create(arena, config());
    try (Arena inner = Arena.ofConfined()) {
      outlives = Cache.create(inner, config());
      dangling = Tokens.draw(1).step(inner);
      outlives.step(dangling);
    }
    refused(IllegalStateException.class, () -> Tokens.draw(1).feed(outlives));
    refused(IllegalStateException.class, () -> cache.step(dangling));
    outlives.close(); // harmless
    Throwable[] elsewhere = new Throwable[1];
    Thread thread =
        new Thread(
            () ->
                elsewhere[0] =
                    refused(WrongThreadException.class, () -> Tokens.draw(1).feed(cache)));
    thread.start();
    thread.join();
    expect(elsewhere[0] != null, "a confined arena is its thread's");
    cache.close();
    cache.close();
    refused(IllegalStateException.class, () -> cache.info(0));
    Cache collected = Cache.create(Arena.ofAuto(), config()); // ends when nobody knows it any more
    Tokens.draw(1).feed(collected);
  }

  private static void goingBack(Arena arena) {
    Cache cache = Cache.create(arena, config().nSpans(4).nPin(4));
    for (int i = 0; i < 30; i++) {
      Tokens.draw(1).feed(cache);
    }
    byte[] saved = cache.save();
    Tokens.draw(3).feed(cache);
    cache.rollback(Cache.ALL_LAYERS, 3);
    expect(Arrays.equals(saved, cache.save()), "as if never");
    cache.pin(0, 20, 22);
    cache.remove(Cache.ALL_LAYERS, 25, 27, Cache.Gap.CLOSE);
    cache.remove(0, 29, Cache.END, Cache.Gap.CLOSE);
    cache.remove(0, 27, 28, Cache.Gap.KEEP);
    List<Span> spans = cache.spans(0, 0);
    expect(spans.stream().anyMatch(Span::masked), spans);
    expect(spans.stream().anyMatch(s -> s.kind() == Span.Kind.PIN && s.from() == 20), spans);
    expect(
        Arrays.stream(cache.positions(0, 1)).noneMatch(p -> p == 25 || p == 26 || p == 27), "gone");
    cache.unpin(0, 20, 22);
    cache.anchor(0, 22, 24);
    cache.seek(0, 1_000_000_000_000_000L);
    Tokens.draw(1).feed(cache);
    cache.restart(0, 1_000_000_000_000_001L);
    expect(cache.info(0).tokensSeen() == 1_000_000_000_000_001L, cache.info(0));
    cache.reset(Cache.ALL_LAYERS);
    expect(cache.info(0).tokensSeen() == 0, cache.info(0));
  }

  private static void pools(Arena arena) {
    Pool pool = Pool.create(arena, config().nSequences(3));
    Cache a = pool.open();
    Tokens.draw(8).feed(a);
    Cache b = a.fork();
    Step one = Tokens.draw(1).step(arena);
    Step two = Tokens.draw(1).step(arena);
    MemorySegment expected = arena.allocate(JAVA_FLOAT, HEADS * DIM);
    MemorySegment found = arena.allocate(JAVA_FLOAT, HEADS * DIM);
    try (Cache alone = a.fork()) {
      alone.step(one.out(Tensor.of(expected)));
    }
    pool.batch(List.of(new Pool.Part(a, one.out(Tensor.of(found))), new Pool.Part(b, two)));
    same(expected.toArray(JAVA_FLOAT), found.toArray(JAVA_FLOAT));
    expect(pool.info(0, 0).nOpen() == 2, pool.info(0, 0));
    Step wrong = new Step(5, 1);
    SinkattnException e =
        refused(
            SinkattnException.class,
            () -> pool.batch(List.of(new Pool.Part(a, two), new Pool.Part(b, wrong))));
    expect(e.index() == 1, e);
    expect(pool.canAppend(List.of(new Pool.Wanted(a, 9), new Pool.Wanted(b, 0))), pool.error());
    refused(
        SinkattnException.Status.ARGUMENT,
        "",
        () -> pool.canAppend(List.of(new Pool.Wanted(a, -1))));
    Pool tight = Pool.create(arena, config().policy(Config.Policy.DENSE).nSink(0).rollback(0));
    expect(!tight.canAppend(List.of(new Pool.Wanted(tight.open(), 15))), "no room");
    expect(!tight.error().isEmpty(), "and why");
    pool.open();
    refused(SinkattnException.Status.POOL, "", pool::open);
    expect(Pool.size(config().nSequences(3)) == pool.info(0, 0).poolSize(), "size");
  }

  private static void snapshots(Arena arena) {
    Pool pool = Pool.create(arena, config().nSequences(2).vDtype(Dtype.BF16));
    Cache a = pool.open();
    Cache b = pool.open();
    Tokens.draw(8).feed(a);
    b.load(a.save());
    MemorySegment data = arena.allocate(a.saveSize(4));
    expect(a.save(4, data) == data.byteSize(), "size");
    refused(SinkattnException.Status.DEPTH, "", () -> b.load(data));
    Tokens next = Tokens.draw(1).feed(a);
    float[] out = new float[HEADS * DIM];
    b.appendAttend(0, 1, next.q, next.k, next.v, out);
    same(next.out, out);
  }

  private static void drafts(Arena arena) {
    Cache a = Cache.create(arena, config().maxDraft(4));
    Cache b = Cache.create(arena, config());
    Tokens before = Tokens.draw(4).feed(a);
    b.appendKv(0, 4, before.k, before.v);
    Tokens draft = Tokens.draw(3);
    MemorySegment out = arena.allocate(JAVA_FLOAT, 3 * HEADS * DIM);
    a.step(draft.step(arena).out(Tensor.of(out)).parents(arena.allocateFrom(JAVA_INT, -1, 0, 0)));
    float[] result = new float[2 * HEADS * DIM];
    b.appendAttend(
        0,
        2,
        path(draft.q, HEADS * DIM),
        path(draft.k, KV_HEADS * DIM),
        path(draft.v, KV_HEADS * DIM),
        result);
    same(path(out.toArray(JAVA_FLOAT), HEADS * DIM), result);
    MemorySegment again = arena.allocate(JAVA_FLOAT, HEADS * DIM);
    a.step(new Step(0, 1).q(of(arena, draft.q)).out(Tensor.of(again)).nodes());
    same(again.toArray(JAVA_FLOAT), Arrays.copyOf(result, HEADS * DIM));
    a.draftAccept(0, 0, 2);
    expect(Arrays.equals(a.positions(0, 0), b.positions(0, 0)), "positions");
  }

  /** Nodes 0 and 2 of three. */
  private static float[] path(float[] x, int each) {
    float[] to = Arrays.copyOf(x, 2 * each);
    System.arraycopy(x, 2 * each, to, each, each);
    return to;
  }

  private static void telemetry(Arena arena) {
    Cache cache = Cache.create(arena, config());
    Tokens given = Tokens.draw(6).feed(cache);
    long stride = cache.info(0).keysMost();
    MemorySegment[] rows = new MemorySegment[6];
    Arrays.setAll(rows, i -> arena.allocate(JAVA_FLOAT, i < 4 ? HEADS : HEADS * stride));
    Step probe = new Step(0, 1).q(of(arena, given.q)).out(Tensor.floats(arena, HEADS * DIM));
    cache.step(
        probe.lse(rows[0]).sinkMass(rows[1]).keyMass(rows[4], stride).valueNorms(rows[5], stride));
    float sum = 0;
    for (int i = 0; i < stride; i++) {
      sum += rows[4].getAtIndex(JAVA_FLOAT, i);
    }
    expect(Math.abs(sum - HEADS / KV_HEADS) < 1e-5f, sum);
    expect(rows[1].get(JAVA_FLOAT, 0) > 0 && rows[5].get(JAVA_FLOAT, 0) > 0, "masses and norms");
    MemorySegment acc = arena.allocate(JAVA_FLOAT, HEADS * DIM);
    MemorySegment lse = arena.allocate(JAVA_FLOAT, HEADS);
    Step partial =
        new Step(0, 1).q(of(arena, given.q)).out(Tensor.of(acc)).partial(rows[2], rows[3]);
    cache.step(partial.view(2, 1).keyMassPerHead(rows[4], stride));
    cache.step(new Step(0, 1).q(of(arena, given.q)).out(Tensor.of(acc)).partial(rows[2], rows[3]));
    Sinkattn.Partial state = new Sinkattn.Partial(rows[2], rows[3], acc);
    MemorySegment none = arena.allocate(JAVA_FLOAT, HEADS * DIM);
    MemorySegment least = arena.allocate(JAVA_FLOAT, HEADS);
    for (int i = 0; i < HEADS; i++) {
      least.setAtIndex(JAVA_FLOAT, i, Float.NEGATIVE_INFINITY);
    }
    Sinkattn.Partial empty = new Sinkattn.Partial(least, arena.allocate(JAVA_FLOAT, HEADS), none);
    Sinkattn.mergePartial(HEADS, DIM, state, empty);
    Sinkattn.finishPartial(HEADS, DIM, state, lse);
    same(rows[0].toArray(JAVA_FLOAT), lse.toArray(JAVA_FLOAT));
  }

  private static void readingAndRows(Arena arena) {
    Cache cache = Cache.create(arena, config().nSinkKv(1).nRows(2));
    refused(SinkattnException.Status.STATE, "", () -> Tokens.draw(1).feed(cache));
    int each = KV_HEADS * DIM;
    cache.setSinkKv(0, of(arena, draw(each)).data(), of(arena, draw(each)).data());
    Tokens given = Tokens.draw(5).feed(cache);
    Tensor k = Tensor.floats(arena, 2 * each);
    Tensor v = Tensor.floats(arena, 2 * each);
    cache.read(Reading.of(0, new long[] {0, 4}, Reading.KeyForm.UNROTATED, k, v));
    same(
        Arrays.copyOfRange(v.toArray(2 * each), each, 2 * each),
        Arrays.copyOfRange(given.v, 4 * each, 5 * each));
    expect(Math.abs(k.toArray(2 * each)[each] - given.k[4 * each]) < 1e-5f, "keys turned back");
    cache.read(
        new Reading(
            0,
            new long[] {1},
            1,
            1,
            Reading.KeyForm.AT_PLACE,
            k,
            null,
            new long[] {-3},
            false));
    float[] without = probe(cache, arena);
    cache.setRows(
        new Rows(
            0,
            0,
            1,
            of(arena, draw(each)),
            of(arena, draw(each)),
            new long[] {-1, -1},
            new float[] {0, 1},
            false));
    expect(
        !Arrays.equals(without, probe(cache, arena)) && cache.info(0).rowsUsed() == 1,
        "a row is seen");
    cache.setRows(new Rows(0, 0, 1, null, null, null, null, false));
    same(without, probe(cache, arena));
  }

  private static float[] probe(Cache cache, Arena arena) {
    float[] q = new float[HEADS * DIM];
    Arrays.fill(q, 0.5f);
    Tensor out = Tensor.floats(arena, HEADS * DIM);
    cache.step(new Step(0, 1).q(of(arena, q)).out(out));
    return out.toArray(HEADS * DIM);
  }

  /** The library's own threads are ours: by parallelFor, and by taking parts. */
  private static void threads(Arena confined) throws Exception {
    try (Arena arena = Arena.ofShared()) {
      Cache alone = Cache.create(arena, config());
      Cache pooled =
          Cache.create(arena, config().nThreads(3).parallelFor(ParallelFor.commonPool()));
      Pool parts = Pool.create(arena, config().nThreads(3).cooperative());
      Cache taken = parts.open();
      for (int i = 0; i < 20; i++) {
        Tokens given = Tokens.draw(8).feed(alone);
        float[] out = new float[given.out.length];
        pooled.appendAttend(0, 8, given.q, given.k, given.v, out);
        same(given.out, out);
        MemorySegment result = arena.allocate(JAVA_FLOAT, out.length);
        Step step = given.step(arena).out(Tensor.of(result));
        if (i % 2 == 0) {
          int phases = taken.stepBegin(step);
          together(3, phases, taken::stepPart);
        } else {
          int phases = parts.batchBegin(List.of(new Pool.Part(taken, step)));
          together(3, phases, parts::batchPart);
        }
        same(given.out, result.toArray(JAVA_FLOAT));
      }
      refused(SinkattnException.Status.ARGUMENT, "", () -> taken.stepPart(9, 0, 1));
    }
  }

  private interface PartOf {
    void run(int phase, int index, int count);
  }

  private static void together(int n, int phases, PartOf part) throws InterruptedException {
    CyclicBarrier barrier = new CyclicBarrier(n);
    Thread[] threads = new Thread[n];
    for (int i = 0; i < n; i++) {
      int index = i;
      threads[i] =
          new Thread(
              () -> {
                for (int phase = 0; phase < phases; phase++) {
                  part.run(phase, index, n);
                  try {
                    barrier.await();
                  } catch (Exception e) {
                    throw new AssertionError(e);
                  }
                }
              });
      threads[i].start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static void everyField(Arena arena) {
    Config.Position rope = Config.Position.ROPE;
    Config[] layers = {
      layer(8, Config.Position.NONE).policy(Config.Policy.DENSE).headWindows(0, 4).headSinks(0, 1),
      layer(8, Config.Position.ALIBI)
          .nSink(2)
          .alibiSlopes(0.5f, 0.25f, 0.1f, 0)
          .sinkLogits(0, 1, 2, 3)
          .softcap(30),
      layer(8, rope)
          .ropeInvFreq(1, 0.1, 0.01, 0.001)
          .vHeadDim(4)
          .nSink(2)
          .positionMode(Config.PositionMode.IN_STREAM),
      layer(8, rope)
          .ropeScaling(Config.RopeScaling.LONGROPE)
          .ropeOriginalContext(8)
          .ropeFactor(2)
          .ropeShortFactors(1, 1, 1, 1)
          .ropeLongFactors(1, 2, 3, 4),
      layer(8, rope)
          .ropeScaling(Config.RopeScaling.YARN)
          .ropeFactor(4)
          .ropeOriginalContext(64)
          .yarnNoTruncate()
          .ropeBetaFast(30)
          .ropeBetaSlow(2)
          .ropeAttentionFactor(1.1),
      layer(8, rope)
          .ropeScaling(Config.RopeScaling.LLAMA3)
          .ropeFactor(8)
          .ropeOriginalContext(64)
          .ropeLowFreqFactor(1)
          .ropeHighFreqFactor(4)
          .ropeTheta(5e5)
          .ropeLayout(Config.RopeLayout.INTERLEAVED),
      layer(32, rope)
          .ropeDims(16)
          .ropeOffset(8)
          .kDtype(Dtype.I8)
          .vDtype(Dtype.I4)
          .sinkKDtype(Dtype.F32)
          .nSink(2)
          .sinkVDtype(Dtype.BF16)
          .nRecent(4)
          .recentKDtype(Dtype.F32)
          .recentVDtype(Dtype.F16)
          .scale(0.2f),
    };
    Config all =
        new Config(layers.length, HEADS, 8, 14, rope).layers(layers).isa(Isa.PLAIN).maxAppend(2);
    Cache cache = Cache.create(arena, all);
    for (int i = 0; i < layers.length; i++) {
      Config.Shape shape = all.shapes().get(i);
      float[] out = new float[HEADS * shape.vHeadDim()];
      cache.appendAttend(
          i,
          1,
          draw(HEADS * shape.headDim()),
          draw(2 * shape.headDim()),
          draw(2 * shape.vHeadDim()),
          out);
      same(out, out);
    }
    expect(cache.info(0).isa() == Isa.PLAIN && Sinkattn.isAvailable(Sinkattn.isaBest()), "isa");
    expect(Sinkattn.name(Isa.PLAIN).equals("plain") && Sinkattn.version().contains("."), "names");
    expect(Sinkattn.versionNumber() > 0, "version");
  }

  private static Config layer(int headDim, Config.Position position) {
    return new Config(0, HEADS, headDim, 14, position).nKvHeads(KV_HEADS);
  }

  public static void main(String[] args) {
    Map<String, Test> tests = new java.util.LinkedHashMap<>();
    tests.put("every struct's size and every field's place", CacheTest::structs);
    tests.put("every number", CacheTest::numbers);
    tests.put("every function", CacheTest::functions);
    tests.put(
        "three calls, one call and the general step have the same bits", CacheTest::threeCalls);
    tests.put("strides", CacheTest::strides);
    tests.put("what is refused, and by which sentence", CacheTest::refusals);
    tests.put("lifetimes and threads of arenas", CacheTest::lifetimes);
    tests.put("going back, jumping, removing and pinning", CacheTest::goingBack);
    tests.put("pools: forks and batches", CacheTest::pools);
    tests.put("snapshots", CacheTest::snapshots);
    tests.put("drafts", CacheTest::drafts);
    tests.put("telemetry and partial states", CacheTest::telemetry);
    tests.put("reading back, learned sinks, rows of the host", CacheTest::readingAndRows);
    tests.put("the host's threads", CacheTest::threads);
    tests.put("every field of a config", CacheTest::everyField);
    int failed = 0;
    for (Map.Entry<String, Test> test : tests.entrySet()) {
      try (Arena arena = Arena.ofConfined()) {
        test.getValue().run(arena);
        System.out.println("ok   " + test.getKey());
      } catch (Throwable t) {
        failed++;
        System.out.println("FAIL " + test.getKey());
        t.printStackTrace(System.out);
      }
    }
    System.out.println((tests.size() - failed) + " passed, " + failed + " failed");
    System.exit(failed == 0 ? 0 : 1);
  }
}
