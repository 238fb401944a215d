import io
from tests.hub.faults import Fault
from tests.hub.fixtures import hub, hub_client, hub_server
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub
from tests.sources.test_load_data_from_hub import _parquet, _lines, _converted, ROWS
from tests.sources.running import *
import pytest, huggingface_hub, time
@pytest.mark.parametrize("status", [503, 429, None])
@pytest.mark.parametrize("kind", ["parquet","jsonl","conv", "txt"])
def test_x(hub, hub_client, kind, status):
    n=f"{hub.namespace}/imgs"
    if kind=="parquet": hub.add_dataset(n, {"train-0.parquet":_parquet(ROWS[:9]), "train-1.parquet":_parquet(ROWS[:9])})
    elif kind=="txt": hub.add_dataset(n, {"a.txt":b"a\nb\n"})
    else: hub.add_dataset(n, {"train.jsonl":_lines(ROWS[:9])})
    if kind=="conv":
        time.sleep(0.01); hub.add_conversion(n, {"default/train/0000.parquet": _converted(["a"])})
    k=0
    while True:
        hub.faults.clear(); hub.requests.clear()
        huggingface_hub.HfFileSystem.clear_instance_cache()
        import shutil; shutil.rmtree(hub_client/"hub", ignore_errors=True)
        f=Fault(".*", "", status=status, skip=k, times=1) if status else Fault(".*","",drop=True,skip=k,times=1)
        hub.faults.append(f)
        try:
            s=LoadDataFromHub(repo_id=n); s.outputs; s.output_schema(); s.described_source(); s.count_rows(); rows,_=run_source(s); ok=True; msg=len(rows)
        except BaseException as e:
            ok=False; msg=str(e)[:150].replace("\n"," ")
        if not f.fired: break
        line=[l for l in hub.requests if l.status in (status,0)][:1]
        if not ok: print(kind,status,k, line and (line[0].method, line[0].path[:90]), msg)
        k+=1
        if k>60: break
    print(kind,status,"requests",k, hub.requests and [(r.method,r.path[:80]) for r in hub.requests] if status==503 else "")
