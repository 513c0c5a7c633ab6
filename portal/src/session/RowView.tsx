import { memo } from "react";
import type { Row } from "../log/rows";
import { Answer } from "./Answer";
import { Asked } from "./Asked";
import { Notice } from "./Notice";
import { Prompt } from "./Prompt";
import { RunEnd } from "./RunEnd";
import { Thought } from "./Thought";
import { ToolCall } from "./ToolCall";
import { ToolGroup } from "./ToolGroup";

/** One row of the conversation, drawn anew only when its item changed. */
export const RowView = memo(function RowView({ sessionId, row }: { sessionId: string; row: Row }) {
  switch (row.kind) {
    case "prompt":
      return <Prompt item={row} />;
    case "answer":
      return <Answer sessionId={sessionId} item={row} />;
    case "thought":
      return <Thought sessionId={sessionId} item={row} />;
    case "tool":
      return <ToolCall item={row} />;
    case "group":
      return <ToolGroup group={row} />;
    case "asked":
      return <Asked item={row} />;
    case "run":
      return <RunEnd item={row} />;
    default:
      return <Notice item={row} />;
  }
});
