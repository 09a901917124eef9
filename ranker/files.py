"""Reading and writing group files; the code is in `ranker.jsonl.group_file`."""

from ranker.jsonl.group_file import dump_line, ranked_record, read_groups, read_lines, turn_rewards_of
from ranker.trajectory import group_from_dict

__all__ = ["dump_line", "group_from_dict", "ranked_record", "read_groups", "read_lines", "turn_rewards_of"]
