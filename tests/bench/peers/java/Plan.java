import java.nio.file.Path;
import java.util.Arrays;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Files;
import org.apache.iceberg.StaticTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;

/** Loads a metadata file and plans a scan, again and again: METADATA scan|filter|increment ROUNDS. */
public class Plan {
  static class Local implements FileIO {
    private static String path(String location) {
      return location.startsWith("file://") ? location.substring(7) : location;
    }

    @Override
    public InputFile newInputFile(String location) {
      return Files.localInput(path(location));
    }

    @Override
    public OutputFile newOutputFile(String location) {
      return Files.localOutput(path(location));
    }

    @Override
    public void deleteFile(String location) {
      throw new UnsupportedOperationException(Path.of(location).toString());
    }
  }

  static CloseableIterable<FileScanTask> tasks(Table table, String what) {
    if (what.equals("increment")) return table.newIncrementalAppendScan().planFiles();
    if (what.equals("filter"))
      return table.newScan().filter(Expressions.lessThan("id", 100000L)).planFiles();
    return table.newScan().planFiles();
  }

  public static void main(String[] args) throws Exception {
    int rounds = Integer.parseInt(args[2]);
    double[] seconds = new double[rounds];
    long files = 0;
    for (int i = 0; i < rounds; i++) {
      long begun = System.nanoTime();
      Table table = new BaseTable(new StaticTableOperations(args[0], new Local()), "t");
      files = 0;
      try (CloseableIterable<FileScanTask> tasks = tasks(table, args[1])) {
        for (FileScanTask task : tasks) files += task.file().recordCount() >= 0 ? 1 : 0;
      }
      seconds[i] = (System.nanoTime() - begun) / 1e9;
    }
    Arrays.sort(seconds);
    System.out.printf("{\"seconds\": %.9f, \"files\": %d}%n", seconds[rounds / 2], files);
  }
}
