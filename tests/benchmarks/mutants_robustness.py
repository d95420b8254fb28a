"""Mutants that stand for faults of robustness: submissions, the feature cache, files of weights, files half-written."""

from __future__ import annotations

from tests.benchmarks.mutant import Mutant

FORMATS = "harness/submissions/writer/text.py"
TEST_WRITER = "tests/harness/submissions/test_writer.py"
FROZEN = "harness/features/frozen_encoder.py"
KEY = "harness/features/cache/key.py"
TEST_KEYS = "tests/harness/features/test_cache_keys.py"
TEST_INDEX = "tests/harness/data/affwild2/test_build.py"
PICKLES = "zoo/weights/safe_unpickler.py"
TEST_PICKLES = "tests/zoo/weights/test_hostile_pickles.py"

SUBMISSIONS = (
    Mutant(
        "header-of-the-list-ignored",
        FORMATS,
        "header = (listed.header if listed is not None else None) or track.submission_header",
        "header = track.submission_header",
        ("tests/harness/submissions/test_writer.py::test_the_example_decides_about_an_unconfirmed_header",),
        "a header that the organisers' own example does not have",
    ),
    Mutant(
        "frames-from-one",
        FORMATS,
        "pa.array(rows.frame - 1)",
        "pa.array(rows.frame)",
        ("tests/harness/submissions/test_writer.py::test_without_a_list_frames_are_numbered_as_the_form_numbers_them",),
        "frames numbered from 1 where the form counts from 0",
    ),
    Mutant(
        "rows-of-gaps-held",
        FORMATS,
        "(1 - weight) * values[rows.low[gaps]] + weight * values[rows.high[gaps]]",
        "values[rows.low[gaps]]",
        ("tests/harness/submissions/test_writer.py::test_gaps_of_a_table_are_interpolated_as_numpy_does_it",),
        "gaps answered with the frame before instead of a line between both",
    ),
    Mutant(
        "values-not-clipped",
        FORMATS,
        "_decimals(np.clip(numbers, answer.low, answer.high))",
        "_decimals(numbers)",
        (
            "tests/harness/submissions/test_writer.py::test_numbers_outside_the_range_are_brought_to_its_ends_and_counted",
        ),
        "numbers outside the range that the organisers admit",
    ),
    Mutant(
        "au-border-of-rows",
        FORMATS,
        "(p >= 0.5).astype(np.int64)",
        "(p > 0.5).astype(np.int64)",
        ("tests/harness/submissions/test_writer.py::test_a_unit_is_present_from_one_half_on_as_the_score_has_it",),
        "a probability of exactly 0.5 handed in as 0 though it was scored as 1",
    ),
    Mutant(
        "rows-unsorted",
        "harness/submissions/writer/rows.py",
        "else tuple(sorted(answers.names))",
        "else tuple(answers.names)",
        (
            "tests/harness/submissions/test_writer.py::test_without_a_list_videos_are_sorted_whatever_order_they_were_answered_in",
        ),
        "videos in the order of the disk where no list says one",
    ),
    Mutant(
        "unseen-rows-are-seen",
        "harness/submissions/writer/answers.py",
        "unseen = ~np.concatenate(seen) if seen",
        "unseen = np.concatenate(seen) if seen",
        ("tests/harness/submissions/test_writer.py::test_frames_no_slot_saw_are_counted",),
        "blind rows reported as seen and the other way round",
    ),
    Mutant(
        "minus-five-is-a-label",
        "harness/data/affwild2/annotation_files.py",
        "labelled = values != np.float32(answer.invalid)",
        "labelled = values > -99",
        ("tests/harness/data/affwild2/test_build.py::test_va_is_unlabelled_where_either_value_is_minus_five",),
        "the organisers' mark of an unlabelled frame, -5, taken for a label",
    ),
    Mutant(
        "one-value-of-two-labelled",
        "harness/data/affwild2/annotation_files.py",
        "labels[partly.any(axis=1, keepdims=True) & joint] = np.nan",
        "labels[partly.all(axis=1, keepdims=True) & joint] = np.nan",
        ("tests/harness/data/affwild2/test_build.py::test_va_is_unlabelled_where_either_value_is_minus_five",),
        "a frame with -5 for arousal alone trains valence",
    ),
)


def _key(name: str, old: str, fault: str, new: str = "", file: str = KEY) -> Mutant:
    """A part of the cache key of features left out."""
    return Mutant(f"key-without-{name}", file, old, new, (TEST_KEYS,), fault)


KEYS = (
    _key("source", "(reader.fingerprint(), ", "features of another file of the same name", '("", ', FROZEN),
    _key("precision", '"features", source, precision,', "float32 asked for, bfloat16 found", '"features", source,'),
    _key("store", "precision, store, *identity", "float32 asked for, float16 found", "precision, *identity"),
    _key("layout", "        LAYOUT,\n", "features of an older way to cut chunks"),
    _key("stream", "        plan.stream.name,\n", "body's features for context"),
    _key("stream-version", "        plan.stream.version,", "crops as an older version cut them"),
    _key("encoder", "        plan.encoder.name,\n", "another encoder's features"),
    _key("encoder-version", "        plan.encoder.version,", "features of an older version of the encoder"),
    _key("argument", "        plan.slot.argument,\n", "another network of the same library"),
    _key("options", "json.dumps(dict(plan.options), sort_keys=True, default=str)", "other options' features", "None"),
    _key("weights", "file_sha256(weights) if weights else None,\n", "other weights", "None,\n"),
    _key("chunk", "        chunk,\n", "features that met other kernels"),
    _key("device", "        device,\n", "a GPU's features for a processor's"),
)

CACHE = (
    Mutant(
        "damage-not-seen",
        "harness/features/cache/entry.py",
        'if content and file_sha256(path) != said["sha256"]:',
        'if content and not said["sha256"]:',
        ("tests/harness/features/test_extraction.py::test_a_damaged_entry_is_never_used",),
        "a flipped bit on the disk becomes a feature",
    ),
    Mutant(
        "rows-not-counted",
        "harness/features/cache/entry.py",
        "if self.rows != int(present.sum()):",
        "if self.rows < 0:",
        ("tests/harness/features/test_cache.py::test_rows_and_mask_must_agree",),
        "features of a video that are fewer than its frames",
    ),
    Mutant(
        "entry-removed-in-place",
        "harness/features/cache/entry.py",
        "os.rename(folder, gone)",
        "shutil.rmtree(folder)",
        ("tests/harness/features/test_cache.py::test_removal_leaves_no_half_entry",),
        "half of an entry is left when its removal is killed",
    ),
)

WEIGHTS = (
    Mutant(
        "any-name-admitted",
        PICKLES,
        "if path not in CALLED and path not in INERT and not path.startswith(NETWORKS):",
        "if not path:",
        ("tests/zoo/weights/test_hostile_pickles.py::test_what_is_not_admitted_is_named_and_not_run",),
        "a pickle's names are admitted, whatever they are",
    ),
    Mutant(
        "any-instruction-passed-over",
        PICKLES,
        'elif code.name not in ("PROTO", "FRAME"):',
        'elif code.name == "PERSID":',
        ("tests/zoo/weights/test_hostile_pickles.py::test_an_unknown_instruction_is_named",),
        "unknown instructions of a pickle passed over",
    ),
    Mutant(
        "tensor-beyond-its-storage",
        PICKLES,
        "if math.prod(stored.shape) > storage.count:",
        "if math.prod(stored.shape) < 0:",
        ("tests/zoo/weights/test_hostile_pickles.py::test_nonsense_is_told_at_once",),
        "a tensor that reads beyond what was stored for it",
    ),
)

FILES = (
    Mutant(
        "written-in-place",
        "zoo/files.py",
        "part = part_name(path)\n    try:\n        write(part)",
        "part = part_name(path)\n    try:\n        write(path)\n        write(part)",
        ("tests/harness/io/test_atomic.py::test_the_old_file_stays_until_the_new_one_is_whole",),
        "a kill or a full disk leaves half a file",
    ),
    Mutant(
        "part-left-behind",
        "zoo/files.py",
        "part.unlink()",
        "part.exists()",
        ("tests/harness/io/test_atomic.py::test_the_old_file_stays_until_the_new_one_is_whole",),
        "half-written files fill the folder",
    ),
    Mutant(
        "not-flushed",
        "zoo/files.py",
        "os.fsync(file.fileno())",
        "file.fileno()",
        ("tests/harness/io/test_atomic.py::test_content_is_on_the_disk_before_the_name_is_given",),
        "a power cut leaves an empty file under the final name",
    ),
    Mutant(
        "one-part-for-all",
        "zoo/files.py",
        "-{secrets.token_hex(4)}.part",
        ".part",
        ("tests/harness/io/test_atomic.py::test_two_writers_in_one_process_have_parts_of_their_own",),
        "two threads write into one temporary file",
    ),
    Mutant(
        "line-after-a-cut-one",
        "harness/io/atomic.py",
        'line = line if file.read(1) == b"\\n" else b"\\n" + line',
        "file.read(1)",
        ("tests/harness/io/test_atomic.py::test_a_line_after_one_that_was_cut_short_stands_by_itself",),
        "an entry glued to one that was cut short, and both lost",
    ),
)

ROBUSTNESS = (*SUBMISSIONS, *KEYS, *CACHE, *WEIGHTS, *FILES)
