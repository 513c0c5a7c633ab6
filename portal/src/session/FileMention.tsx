import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Icon } from "../parts/Icon";
import styles from "./FileMention.module.css";
import { folderOf } from "./files/tree";
import type { Mentioning } from "./mentioning";

interface FileMentionProps {
  id: string;
  mentioning: Mentioning;
}

/** The files that `@` may mean, above the field; the cursor stays in the field. */
export function FileMention({ id, mentioning: { items, at, choose } }: FileMentionProps) {
  const { t } = useTranslation();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    void list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);
  return (
    <ul ref={list} id={id} role="listbox" aria-label={t("composer.mention")} className={styles.list}>
      {items.map((item, place) => (
        <li
          key={item.path}
          id={`${id}${place}`}
          role="option"
          aria-selected={place === at}
          className={styles.item}
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => choose(item)}
        >
          <Icon name={item.kind === "folder" ? "folder" : "files"} size={14} />
          <span className={styles.name}>{item.name}</span>
          <span className={styles.folder}>{folderOf(item.path)}</span>
        </li>
      ))}
    </ul>
  );
}
