// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.Arena;

/**
 * The job that every language does (examples/job.c): 5,000 tokens far beyond a window, a rollback,
 * a fork, a snapshot and a refusal; prints a digest of all outputs, the same number everywhere.
 */
final class Job {
  private static final int HEADS = 8;
  private static final int KV_HEADS = 2;
  private static final int HEAD_DIM = 64;

  private int random = 1;
  private long digest = 0xcbf29ce484222325L;
  private final float[] q = new float[HEADS * HEAD_DIM];
  private final float[] k = new float[KV_HEADS * HEAD_DIM];
  private final float[] v = new float[KV_HEADS * HEAD_DIM];
  private final float[] out = new float[HEADS * HEAD_DIM];

  private void draw(float[] numbers) {
    for (int i = 0; i < numbers.length; i++) {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      numbers[i] = (random >>> 8) * 0x1p-23f - 1.0f;
    }
  }

  private void feed(Cache cache, int n) {
    for (int t = 0; t < n; t++) {
      draw(q);
      draw(k);
      draw(v);
      cache.appendAttend(0, 1, q, k, v, out);
      for (float number : out) {
        int bits = Float.floatToRawIntBits(number);
        for (int shift = 0; shift < 32; shift += 8) {
          digest = (digest ^ (bits >>> shift & 255)) * 0x100000001b3L;
        }
      }
    }
  }

  private String refusal(Cache cache) {
    try {
      cache.appendKv(7, 1, k, v);
      return "nothing";
    } catch (SinkattnException e) {
      return e.getMessage();
    }
  }

  private void run(Pool pool) {
    Cache a = pool.open();
    feed(a, 3000);
    a.rollback(0, 20);
    feed(a, 20);
    try (Cache fork = a.fork()) {
      feed(fork, 500); // a does not see these
    }
    feed(a, 1000);
    Cache b = pool.open();
    b.load(a.save());
    a.close();
    feed(b, 480);
    System.out.println("refused: " + refusal(b));
    System.out.printf("digest %016x%n", digest);
  }

  public static void main(String[] args) {
    Config config =
        new Config(1, HEADS, HEAD_DIM, 252, Config.Position.ROPE)
            .nKvHeads(KV_HEADS)
            .nSink(4)
            .kDtype(Dtype.F16)
            .vDtype(Dtype.F16)
            .maxAppend(1)
            .rollback(32)
            .nSequences(2);
    try (Arena arena = Arena.ofConfined()) {
      new Job().run(Pool.create(arena, config));
    }
  }
}
