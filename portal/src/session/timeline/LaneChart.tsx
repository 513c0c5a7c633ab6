import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { useTranslation } from "react-i18next";
import { axisOf, LANES, placeOn, ticksOf, type Lanes, type Span } from "../../log/lanes";
import { duration, timeOfDay } from "../../words/numbers";
import { noticeOf } from "../../words/server";
import styles from "./Timeline.module.css";
import { titleOf } from "./Timeline";

interface LaneChartProps {
  lanes: Lanes;
  isNarrow: boolean;
  selected: string | null;
  onSelect: (id: string | null) => void;
  onOpen: (span: Span) => void;
}

const ROW = 26;
const HEAD = 22;
const FOOT = 20;
const LABEL = 74;
const LEAST = 2;
const CLOSEST = 1 / 400;

/** Lanes as a picture: wheel zooms at the pointer, drag pans, arrow keys go bar by bar, Enter opens one. */
export function LaneChart({ lanes, isNarrow, selected, onSelect, onOpen }: LaneChartProps) {
  const { t } = useTranslation();
  const axis = useMemo(() => axisOf(lanes), [lanes]);
  const whole = Math.max(1, (axis.at(-1)?.start ?? 0) + (axis.at(-1)?.width ?? 0));
  const [view, setView] = useState({ from: 0, share: 1 });
  const svg = useRef<SVGSVGElement>(null);
  const drag = useRef<{ x: number; from: number } | null>(null);
  const width = isNarrow || matchMedia("(max-width: 699px)").matches ? 340 : 1000;
  const hasMouse = !matchMedia("(pointer: coarse)").matches;
  const bottom = HEAD + LANES.length * ROW;
  const height = bottom + FOOT;
  const inner = width - LABEL;
  const x = (time: number): number => LABEL + ((placeOn(axis, time) / whole - view.from) / view.share) * inner;
  useEffect(() => {
    const element = svg.current;
    const zoom = (event: WheelEvent): void => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      const box = (event.currentTarget as SVGSVGElement).getBoundingClientRect();
      const at = Math.min(1, Math.max(0, ((event.clientX - box.left) / box.width - LABEL / width) / (inner / width)));
      setView((before) => {
        const share = Math.min(1, Math.max(CLOSEST, before.share * (event.deltaY > 0 ? 1.2 : 1 / 1.2)));
        return clamp({ share, from: before.from + at * (before.share - share) });
      });
    };
    element?.addEventListener("wheel", zoom, { passive: false });
    return () => element?.removeEventListener("wheel", zoom);
  }, [width, inner]);
  const move = (event: PointerEvent<SVGSVGElement>): void => {
    if (!drag.current) return;
    const { x: startX, from } = drag.current;
    const shift = (event.clientX - startX) / event.currentTarget.getBoundingClientRect().width;
    setView((before) => clamp({ ...before, from: from - shift * before.share }));
  };
  const press = (event: KeyboardEvent): void => {
    const at = lanes.spans.findIndex((span) => span.id === selected);
    const next = event.key === "ArrowRight" ? at + 1 : event.key === "ArrowLeft" ? Math.max(0, at - 1) : -1;
    const chosen = lanes.spans[at];
    if (event.key === "Enter" && chosen) onOpen(chosen);
    else if (next >= 0) onSelect(lanes.spans[Math.min(next, lanes.spans.length - 1)]?.id ?? null);
    else return;
    event.preventDefault();
  };
  const chosen = lanes.spans.find((span) => span.id === selected);
  return (
    <figure className={styles.figure}>
      <svg
        ref={svg}
        className={styles.chart}
        viewBox={`0 0 ${width} ${height}`}
        role="application"
        aria-label={t("timeline.label")}
        tabIndex={0}
        onKeyDown={press}
        onPointerDown={(event) => (drag.current = { x: event.clientX, from: view.from })}
        onPointerMove={move}
        onPointerUp={() => (drag.current = null)}
        onPointerLeave={() => (drag.current = null)}
        onDoubleClick={() => setView({ from: 0, share: 1 })}
      >
        <clipPath id="lanes"><rect x={LABEL} y={0} width={inner} height={height} /></clipPath>
        {LANES.map((lane, at) => (
          <g key={lane}>
            <text x={0} y={HEAD + at * ROW + 17} className={styles.laneName}>{t(`lane.${lane}`)}</text>
            <line x1={LABEL} x2={width} y1={HEAD + at * ROW} y2={HEAD + at * ROW} className={styles.rule} />
          </g>
        ))}
        <g clipPath="url(#lanes)">
          {ticksOf(axis, { share: view.share, most: width < 500 ? 4 : 8 }).map((at) => (
            <g key={at}>
              <line x1={x(at)} x2={x(at)} y1={HEAD} y2={bottom} className={styles.rule} />
              <text x={x(at) + 3} y={bottom + 14} className={styles.small}>{at === lanes.from ? "0" : duration(at - lanes.from).replace(/[.,]0(?=\D)/, "")}</text>
            </g>
          ))}
          {lanes.attempts.map((one) => (
            <g key={one.number}>
              <line x1={x(one.from)} x2={x(one.from)} y1={0} y2={bottom} className={styles.attempt} />
              {lanes.attempts.length > 1 && <text x={x(one.from) + 4} y={12} className={styles.small}>{t("timeline.attempt", { number: one.number })}</text>}
            </g>
          ))}
          {axis.filter((part) => part.isFolded).map((part) => (
            <g key={part.from}>
              <rect x={x(part.from)} y={0} width={Math.max(LEAST, x(part.to) - x(part.from))} height={bottom} className={styles.folded} />
              <text x={(x(part.from) + x(part.to)) / 2} y={12} textAnchor="middle" className={styles.small}>{duration(part.to - part.from)}</text>
            </g>
          ))}
          {lanes.spans.map((span) => (
            <rect
              key={span.id}
              x={x(span.from)}
              y={HEAD + LANES.indexOf(span.lane) * ROW + 5}
              width={Math.max(LEAST, x(span.to) - x(span.from))}
              height={ROW - 10}
              rx={3}
              className={`${styles.span} ${styles[span.lane]}`}
              data-selected={span.id === selected}
              data-failed={span.isFailed}
              onClick={() => (span.id === selected ? onOpen(span) : onSelect(span.id))}
            >
              <title>{`${titleOf(span, t(`lane.${span.lane}`))} · ${duration(span.to - span.from)}`}</title>
            </rect>
          ))}
          {lanes.marks.map((mark) => (
            <path key={mark.seq} d={`M${x(mark.at)} 4l5 9h-10z`} className={styles.mark}><title>{[t(`notice.${mark.type.replace(".", "_") as "run_parked"}`), noticeOf(mark.data).sentence].filter(Boolean).join(" ")}</title></path>
          ))}
        </g>
      </svg>
      <figcaption className={styles.caption} aria-live="polite">
        {chosen ? `${titleOf(chosen, t(`lane.${chosen.lane}`))} · ${timeOfDay(new Date(chosen.from).toISOString())} · ${duration(chosen.to - chosen.from)}` : t(hasMouse ? "timeline.hint" : "timeline.hintTouch")}
      </figcaption>
    </figure>
  );
}

function clamp({ from, share }: { from: number; share: number }): { from: number; share: number } {
  return { share, from: Math.min(1 - share, Math.max(0, from)) };
}
