/** Paths as people know them: relative to the workspace. Pure. */

export function shortPath(path: string): string {
  const at = path.lastIndexOf("/workspace/");
  if (at >= 0) return path.slice(at + "/workspace/".length);
  return path.endsWith("/workspace") ? "." : path;
}

/** Every mention of the workspace's folder in a text of ours, such as a command. */
export function withShortPaths(text: string, workspace: string | undefined): string {
  return workspace ? text.replaceAll(`${workspace}/`, "").replaceAll(workspace, ".") : text;
}
