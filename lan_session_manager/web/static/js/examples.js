/** First tasks to try. Each runs in a bare sandbox, with standard tools only, and without any file of the user's. */

const CSV = `# Summarise a CSV file
import csv, pathlib, statistics

files = sorted(pathlib.Path("inputs").glob("*.csv"))
if files:
    path = files[-1]
else:
    path = pathlib.Path("temp/sample.csv")
    path.write_text("city,month,sales\\nOslo,1,120\\nLima,1,95\\nOslo,2,143\\nLima,2,101\\n")
    print("No CSV file in inputs/ yet: using a small sample.")

with path.open(newline="") as source:
    rows = list(csv.DictReader(source))
print(f"{path}: {len(rows)} rows")

lines = ["column,filled,distinct,smallest,largest,mean"]
for name in rows[0] if rows else []:
    values = [row[name] for row in rows if row[name] not in (None, "")]
    try:
        numbers = [float(value) for value in values]
        facts = f"{min(numbers):g},{max(numbers):g},{statistics.fmean(numbers):g}"
    except ValueError:
        facts = ",,"
    lines.append(f"{name},{len(values)},{len(set(values))},{facts}")
    print("  " + lines[-1])

pathlib.Path("outputs/summary.csv").write_text("\\n".join(lines) + "\\n")
print("Wrote outputs/summary.csv")
`;

const PRIMES = `# Count primes for ten seconds
import time

end, found, n = time.time() + 10, 0, 2
report = time.time() + 1
while time.time() < end:
    if all(n % d for d in range(2, int(n**0.5) + 1)):
        found += 1
    n += 1
    if time.time() > report:
        print(f"up to {n:,}: {found:,} primes", flush=True)
        report += 1
print(f"Done: {found:,} primes below {n:,}")
`;

/** Their titles stand in `T.start.examples`. @type {{name: string, runner: string, command: string}[]} */
export const EXAMPLES = [
  { name: "csv", runner: "python", command: CSV },
  { name: "list", runner: "shell", command: "ls -lhR inputs outputs temp" },
  { name: "usage", runner: "shell", command: "du -h inputs outputs temp | tee outputs/usage.txt" },
  { name: "primes", runner: "python", command: PRIMES },
];
