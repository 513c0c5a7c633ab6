import { useEffect, useId, useImperativeHandle, useLayoutEffect, useRef, type KeyboardEvent, type ReactNode, type Ref } from "react";
import { useTranslation } from "react-i18next";
import { useLocal } from "../local";
import { Button, IconButton } from "../parts/Button";
import styles from "./Composer.module.css";
import { useComposition } from "./composition";
import { useDrop } from "./dropping";
import { FileMention } from "./FileMention";
import { useMentioning } from "./mentioning";

export interface ComposerHandle {
  focus: () => void;
}

interface ComposerProps {
  /** Whose draft: a session, or `new`. */
  draftOf: string;
  isRunning: boolean;
  /** Whether to begin with the cursor in it: not while a question waits, whose keys are letters. */
  takesFocus?: boolean;
  /** Whether it is known yet what waits. */
  isReady?: boolean;
  placeholder: string;
  onSend: (text: string) => void;
  onInterrupt?: (text: string) => void;
  onStop?: () => void;
  onEditLast?: () => void;
  onFiles?: (files: File[]) => void;
  /** Whose files `@` mentions. */
  filesOf?: string;
  /** Whether attached files are still on their way: a prompt waits for them. */
  isUploading?: boolean;
  /** Agent, mode and the like. */
  children: ReactNode;
  ref?: Ref<ComposerHandle>;
}

const DOUBLE_ESCAPE_MS = 600;

/** Where prompts are written. The draft is kept; Enter sends, but never while an input method composes. */
export function Composer({ draftOf, isRunning, takesFocus = true, isReady = true, placeholder, onSend, onInterrupt, onStop, onEditLast, onFiles, filesOf, isUploading = false, children, ref }: ComposerProps) {
  const { t } = useTranslation();
  const text = useLocal((local) => local.drafts[draftOf] ?? "");
  const draft = useLocal((local) => local.draft);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const escapedAt = useRef(0);
  const composition = useComposition();
  const drop = useDrop(onFiles);
  const listId = useId();
  const cursorTo = useRef<number | null>(null);
  const mentioning = useMentioning(filesOf, text, (written) => {
    cursorTo.current = written.cursor;
    draft(draftOf, written.text);
    mentioning.follow(written.cursor);
  });
  useLayoutEffect(() => {
    if (cursorTo.current !== null) field.current?.setSelectionRange(cursorTo.current, cursorTo.current);
    cursorTo.current = null;
  }, [text]);
  useImperativeHandle(ref, () => ({ focus: () => field.current?.focus() }), []);
  useEffect(() => {
    if (isReady && takesFocus && matchMedia("(hover: hover)").matches) field.current?.focus({ preventScroll: true });
    // only when the page opens: what comes later must not move the cursor
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [draftOf, isReady]);
  const give = (take: ((text: string) => void) | undefined): void => {
    const prompt = text.trim();
    if (!prompt || !take || isUploading) return;
    draft(draftOf, "");
    take(prompt);
  };
  const press = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (composition.isComposing(event.nativeEvent) || mentioning.press(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      give((event.ctrlKey || event.metaKey) && onInterrupt ? onInterrupt : onSend);
    } else if (event.key === "ArrowUp" && text === "" && onEditLast) {
      event.preventDefault();
      onEditLast();
    } else if (event.key === "Escape" && isRunning && onStop) {
      if (event.timeStamp - escapedAt.current < DOUBLE_ESCAPE_MS) onStop();
      escapedAt.current = event.timeStamp;
    }
  };
  return (
    <form className={styles.composer} data-drop={drop.isOver} onSubmit={(event) => (event.preventDefault(), give(onSend))} {...drop.handlers}>
      {mentioning.isOpen && <FileMention id={listId} mentioning={mentioning} />}
      <textarea
        ref={field}
        className={styles.field}
        value={text}
        rows={1}
        aria-label={placeholder}
        placeholder={placeholder}
        enterKeyHint="send"
        {...(mentioning.isOpen && { "aria-autocomplete": "list", "aria-controls": listId, "aria-activedescendant": `${listId}${mentioning.at}` })}
        onChange={(event) => (draft(draftOf, event.target.value), mentioning.follow(event.target.selectionStart))}
        onSelect={(event) => mentioning.follow(event.currentTarget.selectionStart)}
        onBlur={() => mentioning.follow(0)}
        onKeyDown={press}
        onCompositionStart={composition.start}
        onCompositionEnd={composition.end}
        onPaste={(event) => {
          const files = [...event.clipboardData.files];
          if (files.length === 0 || !onFiles) return;
          event.preventDefault();
          onFiles(files);
        }}
      />
      <div className={styles.tools}>
        {onFiles && (
          <>
            <IconButton icon="attach" label={t("composer.attach")} onClick={() => picker.current?.click()} />
            <input ref={picker} type="file" multiple hidden onChange={(event) => (onFiles([...(event.target.files ?? [])]), (event.target.value = ""))} />
          </>
        )}
        <div className={styles.picks}>{children}</div>
        {isRunning && onStop && <Button icon="stop" onClick={onStop} title={t("composer.stopKeys")}><span className={styles.word}>{t("composer.stop")}</span></Button>}
        <Button look="primary" icon="send" type="submit" disabled={!text.trim() || isUploading} title={isUploading ? t("composer.uploading") : undefined}><span className={styles.word}>{t(isRunning ? "composer.queue" : "composer.send")}</span></Button>
      </div>
    </form>
  );
}
